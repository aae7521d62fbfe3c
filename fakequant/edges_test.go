package fakequant

import (
	"fmt"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// init adds convolutions of one tap whose accumulators are all the integers from
// −128 to 127: every tie and both ends of every interval, with a shift by 2 and
// with a multiplier of exactly a quarter.
func init() {
	all := make([]float64, 256)
	for i := range all {
		all[i] = float64(i - 128)
	}
	format := func(bits int, signed, power bool) quant.UniformFormat {
		f := quant.UniformFormat{BitWidth: bits, Signed: signed, PowerOfTwo: power}
		if power {
			f.Rounding = quant.HalfUp
		}
		return f
	}
	affine := quant.UniformFormat{BitWidth: 4, Affine: true}
	for _, r := range []ranged{
		{"ste", format(4, true, false), STE{}, 4, 0}, {"ste-unsigned", format(4, false, false), STE{}, 4, 0}, {"ste-affine", affine, STE{}, 4, 5},
		{"ste-dfp", format(4, true, true), STE{}, 4, 0}, {"lsq", format(4, true, false), LSQ{}, 4, 0}, {"lsq-unsigned", format(5, false, false), LSQ{}, 4, 0},
		{"tqt", format(4, true, true), TQT{}, 4, 0}, {"tqt-unsigned", format(3, false, true), TQT{}, 4, 0}, {"tqt-1-bit", format(1, true, true), TQT{}, 4, 0},
	} {
		for act := range activation(3) {
			c := convCase{batch: 1, image: [3]int{1, 16, 16}, o: 1, k: 1, x: grid(8, true, 0, 1), w: grid(2, true, 0, 1), out: &r, act: act}
			t := c.optest()
			t.Name = fmt.Sprintf("every_accumulator_%s_%s", r.name, activationNames[act])
			t.Inputs[0].Draw, t.Inputs[1].Draw = optest.Fixed(all...), optest.Fixed(1)
			suite.Add(t)
		}
	}
}

// sumOp adds up all elements, so that every upstream gradient is 1.
type sumOp struct{}

func (sumOp) Name() string { return "sum" }

func (sumOp) Infer(autograd.Env, []autograd.Type) (autograd.Spec, error) {
	return autograd.Spec{Out: autograd.Type{Shape: []int{1}, Plain: true}}, nil
}

func (sumOp) Bind(b *autograd.Binding) autograd.Step { return sumStep{b} }

type sumStep struct{ b *autograd.Binding }

func (s sumStep) Forward(*autograd.Context) {
	sum := float32(0)
	x := s.b.In[0]
	rows, n := x.Rows()
	for r := range rows {
		for i := range n {
			sum += x.At(x.Row(r)+i, 0)
		}
	}
	s.b.Out.F32[0] = sum
}

func (s sumStep) Backward(*autograd.Context) {
	for i, d := range s.b.GradIn {
		if d.Empty() || i > 0 {
			continue
		}
		rows, n := d.Rows()
		for r := range rows {
			for k := range n {
				put(d, d.Row(r)+k, s.b.GradOut.F32[0])
			}
		}
	}
}

// quantizeOne runs a quantizer on one number with an upstream gradient of 1.
func quantizeOne(t *testing.T, q *Quantizer, x float32) (code int32, dx, dRange float32, nans int64) {
	t.Helper()
	g := autograd.NewGraph("one")
	in := []*autograd.Node{g.Input("x", autograd.Float32, 1)}
	if q.Param != nil {
		in = append(in, g.Leaf(q.Param))
	}
	y := g.Apply("y", QuantizeOp{q}, in...)
	g.SetOutput("loss", g.Apply("sum", sumOp{}, y))
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Frozen, Batch: 1, InputGrad: true})
	if err != nil {
		t.Fatal(err)
	}
	p.Tap(func(n *autograd.Node, v autograd.View) {
		if n.Name() == "y" {
			code = v.Code(0)
		}
	})
	if err := p.LoadFloats("x", []float32{x}); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	p.Backward()
	v, _ := p.GradView("x")
	if q.Param != nil {
		dRange = q.Param.Grad[0]
	}
	return code, v.F32[0], dRange, p.NaNs()
}

// TestTiesAndEdges pins codes, masks and range gradients by hand.
func TestTiesAndEdges(t *testing.T) {
	int4 := quant.UniformFormat{BitWidth: 4, Signed: true}
	dfp4 := quant.UniformFormat{BitWidth: 4, Signed: true, PowerOfTwo: true, Rounding: quant.HalfUp}
	udfp2 := quant.UniformFormat{BitWidth: 2, PowerOfTwo: true, Rounding: quant.HalfUp}
	affine := quant.UniformFormat{BitWidth: 3, Affine: true}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	tests := []struct {
		name   string
		format quant.UniformFormat
		est    Estimator
		zero   int32
		scale  float32
		x      float32
		code   int32
		dx     float32
		s      float64 // (q−z) − v·[inside]
		nans   int64
	}{
		// Half-even, s = ½: 2.5 steps go to 2, 1.5 to 2, −2.5 to −2.
		{"ste", int4, STE{}, 0, 0.5, 1.25, 2, 1, -0.5, 0},
		{"ste", int4, STE{}, 0, 0.5, 0.75, 2, 1, 0.5, 0},
		{"ste", int4, STE{}, 0, 0.5, -1.25, -2, 1, 0.5, 0},
		// QMax = 7: 7.49 steps round inside, 7.5 to 8, which is outside.
		{"ste", int4, STE{}, 0, 0.5, 3.745, 7, 1, 0, 0},
		{"ste", int4, STE{}, 0, 0.5, 3.75, 7, 0, 0, 0},
		// QMin = −8: −8.5 is a tie that goes to the even −8, inside.
		{"ste", int4, STE{}, 0, 0.5, -4.25, -8, 1, 0, 0},
		{"ste", int4, STE{}, 0, 0.5, -4.26, -8, 0, 0, 0},
		{"ste", int4, STE{}, 0, 0.5, inf, 7, 0, 0, 1},
		{"ste", int4, STE{}, 0, 0.5, -inf, -8, 0, 0, 1},
		{"ste", int4, STE{}, 0, 0.5, nan, 0, 0, 0, 1},
		{"ste", int4, STE{}, 0, 0.5, float32(math.Copysign(0, -1)), 0, 1, 0, 0},
		// Affine, z = 3: −3 to 4 steps.
		{"affine", affine, STE{}, 3, 1, 0, 3, 1, 0, 0},
		{"affine", affine, STE{}, 3, 1, -3.5, 0, 0, 0, 0},
		{"affine", affine, STE{}, 3, 1, 4.5, 7, 1, 0, 0},
		{"affine", affine, STE{}, 3, 1, 5.4, 7, 0, 0, 0},
		{"affine", affine, STE{}, 3, 1, nan, 3, 0, 0, 1},
		// LSQ tests the unrounded value and excludes the ends.
		{"lsq", int4, LSQ{}, 0, 0.5, 3.49, 7, 1, 7 - 6.98, 0},
		{"lsq", int4, LSQ{}, 0, 0.5, 3.5, 7, 0, 7, 0},
		{"lsq", int4, LSQ{}, 0, 0.5, 100, 7, 0, 7, 0},
		{"lsq", int4, LSQ{}, 0, 0.5, -3.99, -8, 1, -8 + 7.98, 0},
		{"lsq", int4, LSQ{}, 0, 0.5, -4, -8, 0, -8, 0},
		{"lsq", int4, LSQ{}, 0, 0.5, 1.25, 2, 1, -0.5, 0},
		// TQT rounds half up: −8.5 to −8, inside; 7.5 to 8, outside.
		{"tqt", dfp4, TQT{}, 0, 0.5, 1.25, 3, 1, 0.5, 0},
		{"tqt", dfp4, TQT{}, 0, 0.5, -1.25, -2, 1, 0.5, 0},
		{"tqt", dfp4, TQT{}, 0, 0.5, -4.25, -8, 1, 0.5, 0},
		{"tqt", dfp4, TQT{}, 0, 0.5, -4.26, -8, 0, -8, 0},
		{"tqt", dfp4, TQT{}, 0, 0.5, 3.74, 7, 1, 7 - 7.48, 0},
		{"tqt", dfp4, TQT{}, 0, 0.5, 3.75, 7, 0, 7, 0},
		// Unsigned: what is negative saturates at 0, which is z.
		{"tqt unsigned", udfp2, TQT{}, 0, 0.5, -0.25, 0, 1, 0.5, 0},
		{"tqt unsigned", udfp2, TQT{}, 0, 0.5, -0.26, 0, 0, 0, 0},
		{"tqt unsigned", udfp2, TQT{}, 0, 0.5, 1.74, 3, 1, 3 - 3.48, 0},
		{"tqt unsigned", udfp2, TQT{}, 0, 0.5, 1.75, 3, 0, 3, 0},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s/%v", tt.name, tt.x), func(t *testing.T) {
			q, err := newQuantizer("x", Outputs, tt.format, Spec{Estimator: tt.est, Observer: MinMax{}}, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			if q.learned() {
				q.scales.Value[0] = tt.scale
				q.Param.Value[0] = tt.est.Param(tt.format, tt.scale)
			} else {
				g, _ := tt.format.Uniform()
				q.pin(float32(g.QMin()-tt.zero)*tt.scale, float32(g.QMax()-tt.zero)*tt.scale)
				if tt.zero == 0 {
					q.pin(0, float32(g.QMax())*tt.scale)
				}
			}
			code, dx, dRange, nans := quantizeOne(t, q, tt.x)
			if code != tt.code || dx != tt.dx || nans != tt.nans {
				t.Errorf("code %d, gradient %v, %d bad numbers; want %d, %v, %d", code, dx, nans, tt.code, tt.dx, tt.nans)
			}
			if tt.est == Estimator(STE{}) {
				return
			}
			want := float64(tt.scale) * math.Ln2 * tt.s // TQT
			if (tt.est == Estimator(LSQ{})) {
				want /= math.Sqrt(7)
			}
			if math.Abs(float64(dRange)-want) > 1e-5 {
				t.Errorf("gradient of the range %v, want %v", dRange, want)
			}
		})
	}
}

// TestPassIntervals compares the search with a look at every accumulator.
func TestPassIntervals(t *testing.T) {
	const limit = 700
	grids := []quant.Grid{grid(1, true, 0, 0.5), grid(4, true, 0, 0.5), grid(3, false, 0, 0.5), grid(4, false, 5, 0.5), grid(2, true, 0, 4)}
	narrow := grid(4, true, 0, 0.5)
	narrow.Narrow = true
	var stages []stage
	for n := -2; n <= 5; n++ {
		stages = append(stages, stage{shift: true, n: n, rounding: quant.HalfUp})
	}
	for _, m := range []float32{0.03, 0.25, 0.7, 3} {
		for _, off := range []float32{0, -2.5, 3.3} {
			stages = append(stages, stage{m: m, off: off, rounding: quant.HalfEven}, stage{m: m, off: off, rounding: quant.HalfUp})
		}
	}
	for _, g := range append(grids, narrow) {
		for _, st := range stages {
			// v = a/2^n, or a·m + off: the real value is as many steps.
			st.real, st.realOff = math.Ldexp(float64(g.Scale[0]), -st.n), float64(st.off)*float64(g.Scale[0])
			if !st.shift {
				st.real = float64(st.m) * float64(g.Scale[0])
			}
			for _, e := range []Estimator{STE{}, LSQ{}, TQT{}} {
				for act := range activation(3) {
					lo, hi := passInterval(e, &g, act, &st, accRange)
					for a := int64(-limit); a <= limit; a++ {
						v, x := math.Ldexp(float64(a), -st.n), float64(a)*st.real+st.realOff
						if !st.shift {
							v = float64(float32(float32(a)*st.m) + st.off)
						}
						low, high := float64(g.QMin()-g.ZeroPoint), float64(g.QMax()-g.ZeroPoint)
						want := v > low && v < high
						if e != Estimator(LSQ{}) {
							r := math.RoundToEven(v)
							if st.rounding == quant.HalfUp {
								r = math.Floor(v + 0.5)
							}
							want = r >= low && r <= high
						}
						want = want && (act == linear || x > 0) && (act != relu6 || x < 6)
						if got := a >= lo && a <= hi; got != want {
							t.Fatalf("%s, %+v, %s, %q: accumulator %d passes: %v, want %v (interval %d to %d)", g, st, e.Name(), activationNames[act], a, got, want, lo, hi)
						}
					}
				}
			}
		}
	}
}

// TestPassIntervalsAgainstTheLaw repeats the example of docs/numerics.md and
// compares with the requantizer's own search.
func TestPassIntervalsAgainstTheLaw(t *testing.T) {
	y := grid(4, true, 0, 1)
	r, err := quant.NewRequantizer(quant.Shift, []float64{1.0 / 16}, y)
	if err != nil {
		t.Fatal(err)
	}
	st := requantStage(&r, 0, 1.0/16)
	if lo, hi := passInterval(TQT{}, &y, linear, &st, accRange); lo != -136 || hi != 119 {
		t.Errorf("tqt: %d to %d, want -136 to 119", lo, hi)
	}
	if lo, hi := passInterval(LSQ{}, &y, linear, &st, accRange); lo != -127 || hi != 111 {
		t.Errorf("lsq: %d to %d, want -127 to 111", lo, hi)
	}
}
