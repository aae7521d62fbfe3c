package autograd

import (
	"fmt"
	"slices"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"gorgonia.org/tensor"
)

// LoadPixels copies samples into an input of element type Uint8. The data is
// channels-last, [n H W C] without gaps, with n at most the batch size; samples
// that are missing are 0. It allocates nothing after the first call.
func (p *Program) LoadPixels(name string, nhwc []uint8) error {
	f, err := p.feed(name, Uint8, len(nhwc))
	if err != nil {
		return err
	}
	f.u8, f.planar = nhwc, false
	f.run(p.opt.Pool)
	return nil
}

// LoadFloats copies samples into an input of element type Float32: [n H W C],
// or [n F], like [Program.LoadPixels].
func (p *Program) LoadFloats(name string, nhwc []float32) error {
	f, err := p.feed(name, Float32, len(nhwc))
	if err != nil {
		return err
	}
	f.f32, f.planar = nhwc, false
	f.run(p.opt.Pool)
	return nil
}

// LoadLabels copies labels into an input of element type Int32, one per
// sample, or [n H W C] like [Program.LoadPixels]. Labels that are missing are 0.
func (p *Program) LoadLabels(name string, labels []int32) error {
	f, err := p.feed(name, Int32, len(labels))
	if err != nil {
		return err
	}
	f.i32, f.planar = labels, false
	f.run(p.opt.Pool)
	return nil
}

// Feed copies a tensor [n C H W], [n F] or [n] into an input, with n at most
// the batch size; samples that are missing are 0. Its elements have the type
// of the input; int is taken for int32 as well. The tensor must be contiguous
// and row-major.
func (p *Program) Feed(name string, t *tensor.Dense) error {
	if t == nil {
		return inputError(name, "the tensor is nil")
	}
	if t.RequiresIterator() || t.DataOrder().IsColMajor() {
		return inputError(name, "the tensor is not contiguous: materialize it first")
	}
	in := p.input(name)
	if in == nil {
		return inputError(name, "there is no such input")
	}
	if want := in.view.Shape; len(t.Shape()) != len(want) || !slices.Equal([]int(t.Shape())[1:], want[1:]) {
		return inputError(name, "a tensor %v does not fit %s", t.Shape(), in.view.Type)
	}
	var f *feed
	var err error
	switch data := t.Data().(type) {
	case []float32:
		if f, err = p.feed(name, Float32, len(data)); err == nil {
			f.f32 = data
		}
	case []uint8:
		if f, err = p.feed(name, Uint8, len(data)); err == nil {
			f.u8 = data
		}
	case []int32:
		if f, err = p.feed(name, Int32, len(data)); err == nil {
			f.i32 = data
		}
	case []int:
		if f, err = p.feed(name, Int32, len(data)); err == nil {
			f.i32 = make([]int32, len(data))
			for i, v := range data {
				if f.i32[i] = int32(v); int(f.i32[i]) != v {
					return inputError(name, "element %d is %d: beyond int32", i, v)
				}
			}
		}
	default:
		err = inputError(name, "elements of type %v: float32, uint8, int32 or int expected", t.Dtype())
	}
	if err != nil {
		return err
	}
	f.planar = true
	f.run(p.opt.Pool)
	return nil
}

// Dense returns a copy of the value of an output, an input or a node that
// CompileOptions.Wanted names, as float32 [N C H W]. Codes are dequantized.
func (p *Program) Dense(name string) (*tensor.Dense, error) {
	v, err := p.readable(name)
	if err != nil {
		return nil, err
	}
	if v.Elem() == Int64 && v.Grid == nil {
		return nil, fmt.Errorf("%w: %s holds accumulators without a grid", ErrInput, name)
	}
	return tensor.New(tensor.WithShape(v.Shape...), tensor.WithBacking(v.Floats(make([]float32, 0, v.Elements())))), nil
}

// Codes is [Program.Dense] for the integers themselves: uint8, int8, int32 or
// int64, whichever the value is stored in.
func (p *Program) Codes(name string) (*tensor.Dense, error) {
	v, err := p.readable(name)
	if err != nil {
		return nil, err
	}
	q := v.Codes(make([]int64, 0, v.Elements()))
	var data any
	switch v.Elem() {
	case Uint8:
		data = narrowTo[uint8](q)
	case Int8:
		data = narrowTo[int8](q)
	case Int32:
		data = narrowTo[int32](q)
	default:
		data = q
	}
	return tensor.New(tensor.WithShape(v.Shape...), tensor.WithBacking(data)), nil
}

func narrowTo[T uint8 | int8 | int32](q []int64) []T {
	dst := make([]T, len(q))
	for i, v := range q {
		dst[i] = T(v)
	}
	return dst
}

// readable returns a view whose memory holds its value after Forward.
func (p *Program) readable(name string) (View, error) {
	i := p.find(name)
	if i < 0 {
		return View{}, fmt.Errorf("%w: %s: the program has no such value", ErrInput, name)
	}
	if d := p.drafts[i]; d.node.op != nil && !d.output {
		return View{}, fmt.Errorf("%w: %s is not kept: name it in CompileOptions.Wanted", ErrInput, name)
	}
	return p.values[i], nil
}

func inputError(name, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrInput, name, fmt.Sprintf(format, args...))
}

// feed copies samples into one input.
type feed struct {
	view    View
	samples int
	planar  bool // the data is [n C H W], not [n H W C]
	f32     []float32
	u8      []uint8
	i32     []int32
	fn      func(worker, n int)
}

// input returns the feed of an input, nil where there is none.
func (p *Program) input(name string) *feed {
	if f := p.feeds[name]; f != nil {
		return f
	}
	n := p.graph.byName[name]
	for i, d := range p.drafts {
		if d.node == n && n.op == nil && n.param == nil {
			f := &feed{view: p.values[i]}
			f.fn = f.sample
			if p.feeds == nil {
				p.feeds = map[string]*feed{}
			}
			p.feeds[name] = f
			return f
		}
	}
	return nil
}

// feed returns the feed of an input after checking n elements of data for it.
func (p *Program) feed(name string, d DType, n int) (*feed, error) {
	f := p.input(name)
	if f == nil {
		return nil, inputError(name, "there is no such input")
	}
	if f.view.Elem() != d {
		return nil, inputError(name, "it holds %s, not %s", f.view.Elem(), d)
	}
	per := f.view.Elements() / p.opt.Batch
	if n == 0 || n%per != 0 || n > f.view.Elements() {
		return nil, inputError(name, "%d elements: 1 to %d samples of %d expected", n, p.opt.Batch, per)
	}
	f.samples = n / per
	return f, nil
}

// run copies all samples and forgets the caller's data.
func (f *feed) run(pool *Pool) {
	pool.Run(f.view.L.N, f.fn)
	f.f32, f.u8, f.i32 = nil, nil, nil
}

func (f *feed) sample(_, n int) {
	switch {
	case f.f32 != nil:
		loadSample(f, f.view.F32, f.f32, n)
	case f.u8 != nil:
		loadSample(f, f.view.U8, f.u8, n)
	default:
		loadSample(f, f.view.I32, f.i32, n)
	}
}

func loadSample[T any](f *feed, dst, src []T, n int) {
	l := f.view.L
	row := l.W * l.C
	switch {
	case n >= f.samples:
		for h := range l.H {
			clear(dst[l.Row(n, h):][:row])
		}
	case f.planar:
		kernels.FromNCHW(dst, l, src, n, n+1)
	default:
		for h := range l.H {
			copy(dst[l.Row(n, h):][:row], src[(n*l.H+h)*row:])
		}
	}
}
