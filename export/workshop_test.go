package export

import (
	"cmp"
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/quant"
)

// workshop is a small network in which every constant of every operation matters. The
// pixels are multiplied by scale.
func workshop(t testing.TB, scale float32) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("workshop")
	// Sums of large numbers in front of the tanh and of the last layers become small.
	deviation := map[string]float64{"conv3": 0.045, "fc1": 0.3}
	weight := func(name string, shape ...int) *autograd.Node {
		return g.Param(name+".weight", autograd.Weight, autograd.Normal(cmp.Or(deviation[name], 1)), shape...)
	}
	bias := func(name string, n int) *autograd.Node {
		init := autograd.Normal(0.3)
		if name == "fc1" {
			init = autograd.Constant(0.1) // no output is cut for every image
		}
		return g.Param(name+".bias", autograd.Bias, init, n)
	}
	conv := func(name string, x *autograd.Node, a autograd.ConvAttrs, shape ...int) *autograd.Node {
		return autograd.Conv2D(name, x, weight(name, shape...), bias(name, shape[0]), a)
	}
	x := autograd.Normalize("normalize", g.Input("input", autograd.Uint8, 2, 6, 7), []float32{scale, scale}, []float32{-2, -2})
	a := autograd.ReLU6("clip1", conv("conv1", x, autograd.ConvAttrs{Pad: autograd.Border{Top: 1, Bottom: 1, Right: 2}}, 4, 2, 3, 3))
	b := conv("conv2", a, autograd.ConvAttrs{Groups: 4, DilH: 2, DilW: 1, Pad: autograd.Border{Top: 2, Left: 1, Bottom: 2}}, 4, 1, 3, 2)
	sum := autograd.ReLU("relu1", autograd.Add("sum", a, b))
	difference := autograd.Subtract("difference", sum, a)
	product := autograd.Multiply("product", difference, a)
	y := autograd.Concat("joined", product, sum)
	y = conv("conv3", y, autograd.ConvAttrs{Groups: 2, StrideH: 2}, 4, 4, 2, 3)
	y = autograd.Tanh("tanh", y)
	y = autograd.Concat("shared", y, autograd.MaxPool("around", y, autograd.PoolAttrs{KH: 3, KW: 3, Pad: autograd.Same(3)}))
	y = autograd.MaxPool("maximum", y, autograd.PoolAttrs{KH: 2, KW: 2, StrideW: 2, Pad: autograd.Border{Top: 1, Left: 1}, Size: autograd.PoolCeil})
	y = autograd.ReLU("relu2", y)
	y = autograd.ChannelPad("more", autograd.Pad("frame", y, autograd.Border{Top: 1, Left: 1, Right: 1}), 1, 1)
	y = autograd.Slice("part", y, autograd.SliceAttrs{C: autograd.Range{Start: 1, Stop: 9, Step: 2}, H: autograd.Range{Start: 1}, W: autograd.Range{Stop: 5}})
	y = autograd.Reshape("turned", y, 5, 4, 3)
	y = autograd.AveragePool("counted", y, autograd.AveragePoolAttrs{CountPad: true,
		PoolAttrs: autograd.PoolAttrs{KH: 3, KW: 2, StrideW: 2, Pad: autograd.Border{Top: 1, Left: 1, Bottom: 1}, Size: autograd.PoolCeil}})
	y = autograd.AveragePool("average", y, autograd.AveragePoolAttrs{
		PoolAttrs: autograd.PoolAttrs{KH: 3, KW: 2, StrideH: 2, Pad: autograd.Border{Left: 1}, Size: autograd.PoolCeil}})
	y = autograd.ReLU6("clip2", autograd.Flatten("flat", y))
	f, _, _ := y.Type().CHW()
	y = autograd.ReLU("relu3", autograd.Linear("fc1", y, weight("fc1", 5, f), bias("fc1", 5)))
	g.SetOutput("logits", autograd.Linear("fc2", y, weight("fc2", 4, 5), bias("fc2", 4)))
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Initialize(3)
	return g
}

// noise is images that look random, the first with the ends of the range.
func noise(t testing.TB, n int) datasets.Dataset {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	pixels := make([]uint8, n*2*6*7)
	for i := range pixels {
		pixels[i] = uint8(r.Uint32())
		if i < 2*6*7 && i%3 > 0 {
			pixels[i] = uint8(i%3) - 2
		}
	}
	ds, err := datasets.FromPixels(datasets.Info{Name: "noise", C: 2, H: 6, W: 7, Classes: 4}, pixels, make([]int32, n))
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// prepared quantizes and calibrates the workshop.
func prepared(t testing.TB, scale float32, ds datasets.Dataset, spec string, rules []string, more ...fakequant.Rule) *autograd.Graph {
	t.Helper()
	base, err := fakequant.ParseSpec(spec)
	if err != nil {
		t.Fatal(err)
	}
	var all []fakequant.Rule
	for _, text := range rules {
		r, err := fakequant.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	q, _, err := fakequant.Prepare(workshop(t, scale), base, append(all, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	n := ds.Info().N
	p, err := q.Compile(autograd.CompileOptions{Mode: autograd.Calibrate, Batch: n, Outputs: []string{"logits"}})
	if err != nil {
		t.Fatal(err)
	}
	var b datasets.Batch
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	if err := ds.Read(&b, indices); err != nil {
		t.Fatal(err)
	}
	if err := p.LoadPixels("input", b.Pixels); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	p.Commit()
	if err := fakequant.FinishCalibration(q); err != nil {
		t.Fatal(err)
	}
	return q
}

// dfpWorkshop has fractional lengths chosen so that clamps are reached, every code
// occurs and shifts round.
func dfpWorkshop(t testing.TB, ds datasets.Dataset) *autograd.Graph {
	return prepared(t, 1.0/64, ds, "dfp:w5a8,ste,minmax", []string{"input=a7", "conv1=w6a8,wfl=3,afl=5", "conv2=w5a5,wfl=2,afl=1", "sum=a5,afl=2",
		"difference=a5,afl=2", "product=a5,afl=0", "joined=a4,afl=0,in=5,ifl=1", "conv3=w4a4,wfl=6,afl=2", "tanh=a5,afl=4", "shared=float",
		"counted=a3,afl=4", "average=a12,afl=14", "fc1=w5a10,in=7,ifl=9,wfl=5,afl=11", "fc2=w4,per-channel"})
}

// int8Workshop has scales that were learned and happen to be powers of two: then products of
// accumulators and multipliers are often ties, and an ulp of a multiplier decides. Three
// layers have zero points.
func int8Workshop(t testing.TB, ds datasets.Dataset) *autograd.Graph {
	affine := func(match string, bits int, zero, scale float32) fakequant.Rule {
		yes := true
		return fakequant.Rule{Match: match, Spec: fakequant.Spec{OutBits: bits, Affine: &yes, Estimator: fakequant.STE{},
			Observer: fixedRange{-zero * scale, (float32(int(1)<<bits-1) - zero) * scale}}}
	}
	q := prepared(t, 127.0/(255*32), ds, "int8:w5a8,lsq", []string{"input=a7", "conv1=w6a8", "sum=a5", "difference=a5", "joined=a4,in=5", "tanh=a5",
		"shared=float", "counted=a3", "average=a12", "fc1=w5a16,per-channel", "fc2=w4,per-channel", "conv3=w4"},
		affine("conv2", 5, 13, 0.5), affine("product", 5, 18, 1), affine("conv3", 4, 8, 0.25))
	// The fractional lengths of the scales; one more for every other channel.
	lengths := map[string]int{"conv1 weights": 3, "conv1 output": 5, "sum output": 2, "difference output": 2, "joined.in edge": 1, "joined.in1 edge": 1,
		"joined output": 0, "tanh output": 4, "counted output": 4, "average output": 14, "fc1 weights": 4, "fc1 output": 17, "fc2 weights": 2}
	for _, r := range fakequant.Quantizers(q) {
		if r.Param == nil {
			continue
		}
		fl, ok := lengths[r.Name()]
		if !ok {
			t.Fatalf("no scale for %s", r.Name())
		}
		for c := range r.Param.Value {
			r.Param.Value[c] = -float32(fl + c%2)
		}
		r.Param.Touch()
	}
	return q
}

// fixedRange is an observer that knows the range.
type fixedRange struct{ lo, hi float32 }

func (fixedRange) Name() string                             { return "fixed" }
func (fixedRange) New() []float32                           { return []float32{0} }
func (fixedRange) Observe([]float32, fakequant.Observation) {}
func (fixedRange) NeedsValues() bool                        { return false }
func (f fixedRange) Range([]float32, quant.UniformFormat) (lo, hi float32, ok bool) {
	return f.lo, f.hi, true
}
