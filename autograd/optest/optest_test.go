package optest_test

import (
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// fault names a mistake in layerOp.
type fault int

const (
	none fault = iota
	sign
	noMask
	transposed
	overwrites
	readsUnclaimed
	allocates
	countsWorkers
	remembers
	wrongValue
	skipsElement
)

// layerOp is y[n,o] = max(Σ_i w[o,i]·x[n,i], 0) with a square w, and a mistake
// on request.
type layerOp struct{ fault fault }

func (layerOp) Name() string { return "layer" }

func (o layerOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	s := autograd.Spec{Out: in[0].Floats(), ReadsIn: []bool{true, true}, ReadsOut: true}
	if o.fault == readsUnclaimed {
		s.ReadsIn[0] = false
	}
	return s, nil
}

func (o layerOp) Bind(b *autograd.Binding) autograd.Step {
	c, _, _ := b.Out.CHW()
	return &layer{Binding: b, fault: o.fault, n: b.Batch, c: c}
}

type layer struct {
	*autograd.Binding
	fault   fault
	n, c    int
	calls   int
	garbage []float32
}

func (s *layer) Forward(c *autograd.Context) {
	x, w, y := s.In[0], s.In[1], s.Out
	s.calls++
	for n := range s.n {
		for o := range s.c {
			sum := float32(0)
			for i := range s.c {
				sum += w.F32[o*s.c+i] * x.F32[x.Row(n)+i]
			}
			switch s.fault {
			case wrongValue:
				sum *= 1.001
			case countsWorkers:
				sum += 1e-7 * float32(c.Pool.Workers()-1)
			case remembers:
				sum += 1e-7 * float32(s.calls)
			case skipsElement:
				if n == 1 && o == 0 {
					continue
				}
			}
			y.F32[y.Row(n)+o] = max(sum, 0)
		}
	}
}

func (s *layer) Backward(*autograd.Context) {
	if s.fault == allocates {
		s.garbage = make([]float32, 1000)
	}
	x, w := s.In[0], s.In[1]
	if dx := s.GradIn[0]; !dx.Empty() {
		for n := range s.n {
			for i := range s.c {
				sum := float32(0)
				for o := range s.c {
					sum += s.dy(n, o) * w.F32[o*s.c+i]
				}
				if s.fault == sign {
					sum = -sum
				}
				put(dx, dx.Row(n)+i, sum, s.fault)
			}
		}
	}
	if dw := s.GradIn[1]; !dw.Empty() {
		for o := range s.c {
			for i := range s.c {
				sum := float32(0)
				for n := range s.n {
					sum += s.dy(n, o) * x.F32[x.Row(n)+i]
				}
				at := o*s.c + i
				if s.fault == transposed {
					at = i*s.c + o
				}
				put(dw, at, sum, none)
			}
		}
	}
}

func (s *layer) dy(n, o int) float32 {
	if s.fault != noMask && s.Out.F32[s.Out.Row(n)+o] == 0 {
		return 0
	}
	return s.GradOut.F32[s.GradOut.Row(n)+o]
}

func put(v autograd.View, at int, x float32, f fault) {
	if v.Add && f != overwrites {
		x += v.F32[at]
	}
	v.F32[at] = x
}

func layerCase(f fault) optest.Case {
	return optest.Case{
		Name:  "layer",
		Batch: 3,
		Inputs: []optest.Input{
			{Name: "x", Shape: []int{5}},
			{Name: "w", Shape: []int{5, 5}, Param: true},
		},
		Build: func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
			return g.Apply("y", layerOp{f}, in...)
		},
		Ref: func(in []optest.Array) optest.Array {
			y := optest.NewArray(3, 5)
			y.Each(func(_ float64, at []int) {
				for i := range 5 {
					y.Add(in[1].At(at[1], i)*in[0].At(at[0], i), at...)
				}
			})
			return y.Map(func(v float64) float64 { return max(v, 0) })
		},
	}
}

func TestCorrectOperationPasses(t *testing.T) { optest.Check(t, layerCase(none)) }

func TestPlantedFaultsAreCaught(t *testing.T) {
	tests := []struct {
		fault fault
		want  string
	}{
		{sign, "gradient of x"},
		{noMask, "gradient of x"},
		{transposed, "gradient of w"},
		{overwrites, "other readers: gradient of x"},
		{readsUnclaimed, "gradient of w"},
		{allocates, "allocates"},
		{countsWorkers, "3 workers: value"},
		{remembers, "second run"},
		{wrongValue, "value"},
		{skipsElement, "value"},
	}
	for _, tt := range tests {
		var all strings.Builder
		for _, err := range layerCase(tt.fault).Faults() {
			all.WriteString(err.Error() + "\n")
		}
		if !strings.Contains(all.String(), tt.want) {
			t.Errorf("fault %d: reported %q, want it to mention %q", tt.fault, all.String(), tt.want)
		}
	}
}

func TestWrongSurrogateIsCaught(t *testing.T) {
	c := layerCase(none)
	c.Surrogate = func(_, in []optest.Array) optest.Array {
		return c.Ref(in).Map(func(v float64) float64 { return 2 * v })
	}
	if len(c.Faults()) == 0 {
		t.Error("a surrogate that is not the operation at its base was accepted")
	}
}

// realOp is y = x for codes x.
type realOp struct{}

func (realOp) Name() string { return "real" }

func (realOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	return autograd.Spec{Out: in[0].Floats()}, nil
}

func (realOp) Bind(b *autograd.Binding) autograd.Step { return realStep{b} }

type realStep struct{ *autograd.Binding }

func (s realStep) Forward(*autograd.Context) {
	x, y := s.In[0], s.Out
	rows, length := y.Rows()
	for r := range rows {
		for i := range length {
			y.F32[y.Row(r)+i] = x.At(x.Row(r)+i, i%y.L.C)
		}
	}
}

func (s realStep) Backward(*autograd.Context) {
	dx, dy := s.GradIn[0], s.GradOut
	rows, length := dx.Rows()
	for r := range rows {
		for i := range length {
			put(dx, dx.Row(r)+i, dy.F32[dy.Row(r)+i], none)
		}
	}
}

func TestCodesReachTheOperation(t *testing.T) {
	for _, grid := range []quant.Grid{
		{BitWidth: 4, Signed: true, Scale: []float32{0.25}},
		{BitWidth: 8, ZeroPoint: 100, Scale: []float32{0.02}},
		{BitWidth: 12, Signed: true, Scale: []float32{0.001}},
	} {
		optest.Check(t, optest.Case{
			Name:   grid.String(),
			Inputs: []optest.Input{{Name: "x", Shape: []int{2, 3, 4}, Grid: &grid}},
			Build: func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
				if !in[0].Type().IsCodes() {
					t.Errorf("operand is %s, want codes", in[0].Type())
				}
				return g.Apply("y", realOp{}, in...)
			},
			Ref: func(in []optest.Array) optest.Array { return in[0].Clone() },
		})
	}
}

func TestMissingCaseIsFound(t *testing.T) {
	var s optest.Suite
	s.Add(layerCase(none))
	missing, err := s.Missing(".")
	if err != nil {
		t.Fatal(err)
	}
	// The operations of this package itself: the cases above build none of them.
	if got := strings.Join(missing, " "); got != "codesOp probeOp relayOp" {
		t.Errorf("operations without a case: %q", got)
	}
}

func TestBuildErrorIsReported(t *testing.T) {
	c := layerCase(none)
	c.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
		return g.Apply("x", layerOp{none}, in...) // the name is taken
	}
	faults := c.Faults()
	if len(faults) != 1 || !strings.Contains(faults[0].Error(), `two nodes are named "x"`) {
		t.Errorf("got %v", faults)
	}
}

func TestTheCaseOfThePackageComment(t *testing.T) {
	var suite optest.Suite
	suite.Add(optest.Case{
		Name:   "square",
		Inputs: []optest.Input{{Name: "x", Shape: []int{3, 4, 5}, Draw: optest.Normal(1)}},
		Build: func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
			return autograd.Multiply("y", in[0], in[0])
		},
		Ref: func(in []optest.Array) optest.Array {
			return in[0].Map(func(x float64) float64 { return x * x })
		},
	})
	suite.Run(t)
}
