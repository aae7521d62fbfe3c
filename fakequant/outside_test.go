package fakequant

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// swapOp is an operation from outside the package. It exchanges the rows of its
// operand, codes or not.
type swapOp struct{ name string }

func (o swapOp) Name() string { return o.name }

func (swapOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	return autograd.Spec{Out: in[0], Moves: true}, nil
}

func (swapOp) Bind(b *autograd.Binding) autograd.Step { return swapStep{b} }

type swapStep struct{ *autograd.Binding }

func (s swapStep) Forward(*autograd.Context) {
	x, y := s.In[0], s.Out
	rows, n := y.Rows()
	for r := range rows {
		for i := range n {
			from, to := x.Row(rows-1-r)+i, y.Row(r)+i
			if y.IsCodes() {
				y.SetCode(to, x.Code(from))
			} else {
				y.F32[to] = x.F32[from]
			}
		}
	}
}

func (swapStep) Backward(*autograd.Context) {}

// withOp builds conv → op → linear and prepares it.
func withOp(t *testing.T, spec Spec, op autograd.Op) (*autograd.Graph, *Report) {
	t.Helper()
	g := autograd.NewGraph("net")
	x := g.Input("input", autograd.Float32, 1, 2, 2)
	x = autograd.Conv2D("conv", x, g.Param("conv.weight", autograd.Weight, autograd.HeNormal(), 2, 1, 1, 1), nil, autograd.ConvAttrs{})
	x = autograd.Flatten("flatten", autograd.Apply("mine", op, x))
	g.SetOutput("logits", autograd.Linear("fc", x, g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 2, 8), nil))
	g.Initialize(1)
	q, report, err := Prepare(g, spec)
	if err != nil {
		t.Fatal(err)
	}
	return q, report
}

// calibrate shows the graph one image.
func calibrate(t *testing.T, g *autograd.Graph) error {
	t.Helper()
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Calibrate, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.LoadFloats("input", []float32{-1, 0.5, 0.25, 1}); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	p.Commit()
	return FinishCalibration(g)
}

// An operation is what its type and its Spec say; its name counts for nothing.
func TestOperationsFromOutside(t *testing.T) {
	identity := func(x float32) float32 { return x }
	one := func(float32) float32 { return 1 }
	for _, name := range []string{"swap", "relu", "conv2d", "batch_norm", "normalize", "crossentropy", "dropout", "softmax"} {
		g, report := withOp(t, DFP(8), swapOp{name})
		for _, r := range report.Rows {
			if r.Name == "mine" {
				t.Errorf("%s moves codes and got a quantizer: %+v", name, r)
			}
		}
		if err := calibrate(t, g); err != nil {
			t.Fatal(err)
		}
		notes, err := Explain(g, autograd.Evaluate)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range notes {
			if !n.Integers {
				t.Errorf("%s: %s runs on floats: %s", name, n.Name, n.Why)
			}
		}

		_, report = withOp(t, DFP(8), autograd.Pointwise(name, identity, one))
		if !strings.Contains(report.String(), "mine ("+name+"): output int8") {
			t.Errorf("a function called %s is not a layer of its own that can be negative:\n%v", name, report)
		}
	}
	_, report := withOp(t, DFP(8), autograd.PointwiseOp{Kind: "square", F: func(x float32) float32 { return x * x },
		DF: func(x float32) float32 { return 2 * x }, NonNegative: true})
	if !strings.Contains(report.String(), "mine (square): output uint8") {
		t.Errorf("a function that is never negative has negative codes:\n%v", report)
	}
}

// fixedScale is an estimator that learns, and insists on one scale.
type fixedScale struct {
	STE
	scale float32
}

func (fixedScale) Name() string                                       { return "mine" }
func (fixedScale) Learned() bool                                      { return true }
func (e fixedScale) Scale(quant.UniformFormat, float32) float32       { return e.scale }
func (fixedScale) Param(_ quant.UniformFormat, scale float32) float32 { return scale }

// fixedRange is an observer that has always seen the same.
type fixedRange struct {
	MinMax
	lo, hi float32
}

func (fixedRange) Name() string { return "mine" }

func (o fixedRange) Range([]float32, quant.UniformFormat) (lo, hi float32, ok bool) {
	return o.lo, o.hi, true
}

func TestEstimatorsAndObserversAreNotBelieved(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		spec     Spec
		sentinel error
	}{
		{Spec{Scheme: Integer, Estimator: fixedScale{scale: 0.3}}, nil},
		{Spec{Scheme: FixedPoint, Estimator: fixedScale{scale: 0.25}}, nil},
		{Spec{Scheme: FixedPoint, Estimator: fixedScale{scale: 0.3}}, ErrSpec},
		{Spec{Scheme: Integer, Estimator: fixedScale{scale: nan}}, ErrSpec},
		{Spec{Scheme: Integer, Estimator: fixedScale{scale: inf}}, ErrSpec},
		{Spec{Scheme: Integer, Estimator: fixedScale{scale: 0}}, ErrSpec},
		{Spec{Scheme: Integer, Estimator: fixedScale{scale: -1}}, ErrSpec},
		{Spec{Scheme: Integer, Observer: fixedRange{lo: -1, hi: 1}}, nil},
		{Spec{Scheme: Integer, Observer: fixedRange{lo: 1, hi: -1}}, ErrNotCalibrated},
		{Spec{Scheme: Integer, Observer: fixedRange{lo: nan, hi: 1}}, ErrNotCalibrated},
		{Spec{Scheme: Integer, Observer: fixedRange{lo: -1, hi: inf}}, ErrNotCalibrated},
	} {
		g, _ := withOp(t, c.spec, autograd.ReLUOp{})
		err := calibrate(t, g)
		if !errors.Is(err, c.sentinel) || err != nil && !strings.Contains(err.Error(), "mine") {
			t.Errorf("%+v: got %v, want %v by the name of who gave it", c.spec, err, c.sentinel)
		}
	}
}
