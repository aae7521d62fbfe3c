package optim

import "math"

// A Schedule scales the learning rate: At is a pure function of the step,
// counted from 0, and 1 means the configured rate. Since it remembers nothing, a
// resumed run follows the same curve.
type Schedule interface {
	At(step int64) float64
	// Validate reports a setting that cannot work.
	Validate() error
}

// Constant keeps the rate as it is.
type Constant struct{}

// At returns 1.
func (Constant) At(int64) float64 { return 1 }

// Validate returns nil.
func (Constant) Validate() error { return nil }

// StepDecay multiplies the rate by Gamma after every Size steps: Gamma^⌊t/Size⌋.
// With the number of steps of an epoch as its size it decays by the epoch.
type StepDecay struct {
	Size  int64
	Gamma float64
}

// At returns the factor of step t.
func (s StepDecay) At(t int64) float64 {
	if s.Size <= 0 {
		return 1
	}
	return math.Pow(s.Gamma, float64(t/s.Size))
}

// Validate reports a size or a factor that is not positive.
func (s StepDecay) Validate() error {
	if s.Size <= 0 {
		return configError("size %d: must be positive", s.Size)
	}
	return positive("gamma", s.Gamma)
}

// MultiStep multiplies the rate by Gamma at each milestone: Gamma^k after k of
// them. The step that equals a milestone is the first with the new rate.
type MultiStep struct {
	Milestones []int64
	Gamma      float64
}

// At returns the factor of step t.
func (s MultiStep) At(t int64) float64 {
	k := 0
	for _, m := range s.Milestones {
		if t >= m {
			k++
		}
	}
	return math.Pow(s.Gamma, float64(k))
}

// Validate reports milestones that do not rise or a factor that is not positive.
func (s MultiStep) Validate() error {
	last := int64(0)
	for i, m := range s.Milestones {
		if m <= last {
			return configError("milestone %d is %d: must be above %d", i, m, last)
		}
		last = m
	}
	return positive("gamma", s.Gamma)
}

// Inv is Caffe's "inv" policy: (1 + Gamma·t)^−Power.
type Inv struct{ Gamma, Power float64 }

// At returns the factor of step t.
func (s Inv) At(t int64) float64 { return math.Pow(1+s.Gamma*float64(t), -s.Power) }

// Validate reports a setting that is not positive.
func (s Inv) Validate() error {
	if err := positive("gamma", s.Gamma); err != nil {
		return err
	}
	return positive("power", s.Power)
}

// Cosine falls from 1 to Final along half a cosine and stays there
// (Loshchilov and Hutter, 2017): Final + (1−Final)·(1+cos(π·t/Steps))/2.
type Cosine struct {
	Steps int64
	// Final is in [0,1].
	Final float64
}

// At returns the factor of step t.
func (s Cosine) At(t int64) float64 {
	if t >= s.Steps {
		return s.Final
	}
	return s.Final + (1-s.Final)*(1+math.Cos(math.Pi*float64(t)/float64(s.Steps)))/2
}

// Validate reports a length that is not positive or a final factor outside [0,1].
func (s Cosine) Validate() error {
	if s.Steps <= 0 {
		return configError("steps %d: must be positive", s.Steps)
	}
	if !(s.Final >= 0 && s.Final <= 1) {
		return configError("final %v: must be at least 0 and at most 1", s.Final)
	}
	return nil
}

// Warmup raises the rate along a line during the first steps and leaves the
// rest to Then, which it scales and does not delay:
//
//	(Start + (1−Start)·(t+1)/Steps) · Then.At(t)   for t < Steps
//	Then.At(t)                                     from Steps on
type Warmup struct {
	Steps int64
	// Start is the factor that the line starts from, in [0,1].
	Start float64
	// Then is the schedule being warmed up; nil means Constant.
	Then Schedule
}

// At returns the factor of step t.
func (s Warmup) At(t int64) float64 {
	f := 1.0
	if s.Then != nil {
		f = s.Then.At(t)
	}
	if t >= s.Steps {
		return f
	}
	return (s.Start + (1-s.Start)*float64(t+1)/float64(s.Steps)) * f
}

// Validate reports a negative length, a start outside [0,1], or what Then reports.
func (s Warmup) Validate() error {
	if s.Steps < 0 {
		return configError("steps %d: must not be negative", s.Steps)
	}
	if !(s.Start >= 0 && s.Start <= 1) {
		return configError("start %v: must be at least 0 and at most 1", s.Start)
	}
	if s.Then != nil {
		return within("then", s.Then.Validate())
	}
	return nil
}

func positive(what string, v float64) error {
	if !(v > 0) || math.IsInf(v, 0) {
		return configError("%s %v: must be positive and finite", what, v)
	}
	return nil
}
