package optim

import (
	"math"
	"testing"
)

func TestSchedules(t *testing.T) {
	type at struct {
		step int64
		want float64
	}
	tests := []struct {
		name     string
		schedule Schedule
		at       []at
	}{
		{"constant", Constant{}, []at{{0, 1}, {1e6, 1}}},
		{"step", StepDecay{Size: 10, Gamma: 0.1}, []at{{0, 1}, {9, 1}, {10, 0.1}, {20, 0.01}}},
		{"multistep", MultiStep{Milestones: []int64{5, 8}, Gamma: 0.5}, []at{{4, 1}, {5, 0.5}, {7, 0.5}, {8, 0.25}, {1000, 0.25}}},
		{"no milestones", MultiStep{Gamma: 0.5}, []at{{7, 1}}},
		// lenet_solver.prototxt at 10,000 iterations: 0.01 becomes 0.00594604.
		{"inv", Inv{Gamma: 1e-4, Power: 0.75}, []at{{0, 1}, {10000, 0.594604}}},
		{"cosine", Cosine{Steps: 100}, []at{{0, 1}, {50, 0.5}, {75, (1 - math.Sqrt2/2) / 2}, {100, 0}, {200, 0}}},
		{"cosine to a floor", Cosine{Steps: 100, Final: 0.2}, []at{{0, 1}, {50, 0.6}, {100, 0.2}}},
		{"warm-up", Warmup{Steps: 4}, []at{{0, 0.25}, {1, 0.5}, {3, 1}, {4, 1}}},
		{"warm-up from half", Warmup{Steps: 4, Start: 0.5}, []at{{0, 0.625}, {3, 1}}},
		{"warm-up of a step", Warmup{Steps: 4, Then: StepDecay{Size: 2, Gamma: 0.1}}, []at{{1, 0.5}, {2, 0.075}, {4, 0.01}}},
		{"no warm-up", Warmup{Then: Cosine{Steps: 2}}, []at{{0, 1}, {1, 0.5}}},
	}
	for _, tt := range tests {
		if err := tt.schedule.Validate(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		for _, a := range tt.at {
			if got := tt.schedule.At(a.step); math.Abs(got-a.want) > 1e-6 {
				t.Errorf("%s: step %d: got %v, want %v", tt.name, a.step, got, a.want)
			}
		}
	}
	if got := (StepDecay{}).At(3); got != 1 {
		t.Errorf("an invalid step schedule gives %v", got)
	}
}
