package integer

import (
	"math"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// Input is the start of a model that takes pixels: uint8 images become codes
// through one table per channel, quant.InputTable,
//
//	q = Q(float32(float32(p)·A[c]) + B[c])
//
// with Q the quantizer of Grid. With mean m and deviation d of pixels scaled to
// [0, 1], A = 1/(255·d) and B = −m/d.
type Input struct {
	C, H, W  int
	A, B     []float32 // factor and offset of each channel
	Grid     quant.Grid
	Rounding quant.Rounding // not stochastic

	table [][256]int32
}

// Kind returns "input".
func (*Input) Kind() string { return "input" }

// Table returns the code of every pixel value, per channel. It must not be modified.
func (p *Input) Table() [][256]int32 { return p.table }

func (p *Input) infer(in []*Node) (output, error) {
	out, err := inferInput(in, p.C, p.H, p.W, p.A, p.B, p.Grid, p.Rounding)
	if err != nil {
		return out, err
	}
	if p.table, err = quant.InputTable(p.A, p.B, p.Grid, p.Rounding); err != nil {
		return out, &reason{err, err.Error()}
	}
	return out, nil
}

func inferInput(in []*Node, c, h, w int, a, b []float32, g quant.Grid, r quant.Rounding) (output, error) {
	out := output{Type: typeOf(g, c, h, w), Grid: g}
	if len(in) != 0 {
		return out, refuse(ErrGraph, "an input reads no values")
	}
	if err := checkGrid(g); err != nil {
		return out, err
	}
	if err := out.Type.validate(); err != nil {
		return out, err
	}
	if len(a) != c || len(b) != c {
		return out, refuse(ErrShape, "%d factors and %d offsets for %d channels", len(a), len(b), c)
	}
	for i := range a {
		if math.IsNaN(float64(a[i]-a[i])) || math.IsNaN(float64(b[i]-b[i])) {
			return out, refuse(ErrGrid, "normalization %v·x + %v of channel %d: must be finite", a[i], b[i], i)
		}
	}
	if r >= quant.Stochastic {
		return out, refuse(ErrGrid, "rounding %v: an input rounds by a fixed rule", r)
	}
	return out, nil
}

// interpret is not called: the runners fill the first node from the image.
func (p *Input) interpret(*Node, []*Node, [][]int64) []int64 { return nil }

func (p *Input) bind(b *binding, n *Node, _ []*Node) step {
	if !bytesOf(n.Out) {
		return func(st *state, images int) {
			y := st.value(b.self)
			eachElement(y, images, func(i, at, c int) { y.I32[at] = p.table[c][st.pixels[i]] })
		}
	}
	tables := make([][256]uint8, p.C)
	for c := range tables {
		for pixel, q := range p.table[c] {
			tables[c][pixel] = uint8(q)
		}
	}
	row := p.W * p.C
	return func(st *state, images int) {
		y, pixels := st.value(b.self), st.pixels
		eachRow(images, y, func(i, h int) {
			kernels.LookUp(y.U8[y.L.Row(i, h):], pixels[(i*p.H+h)*row:][:row], tables)
		})
	}
}

// eachElement calls f for every element of y: i counts them in [N H W C] order, at is the
// place in y and c the channel.
func eachElement(y *Codes, images int, f func(i, at, c int)) {
	i := 0
	eachPixel(images, y, func(n, h, w int) {
		at := y.place(n, h, w)
		for c := range y.L.C {
			f(i, at+c, c)
			i++
		}
	})
}

// InputFloat is the start of a model that takes float32 samples. Each becomes a code by
// the formula of [Input],
//
//	q = Q(float32(x·A[c]) + B[c])
//
// NaN becomes the code of zero.
type InputFloat struct {
	C, H, W  int
	A, B     []float32 // factor and offset of each channel
	Grid     quant.Grid
	Rounding quant.Rounding // not stochastic
}

// Kind returns "input_float".
func (*InputFloat) Kind() string { return "input_float" }

func (p *InputFloat) infer(in []*Node) (output, error) {
	return inferInput(in, p.C, p.H, p.W, p.A, p.B, p.Grid, p.Rounding)
}

// interpret is not called: the runners fill the first node from the image.
func (p *InputFloat) interpret(*Node, []*Node, [][]int64) []int64 { return nil }

func (p *InputFloat) code(x float32, c int) int32 {
	return quant.InputCode(x, p.A[c], p.B[c], p.Grid, p.Rounding)
}

func (p *InputFloat) bind(b *binding, n *Node, _ []*Node) step {
	if bytesOf(n.Out) {
		size := n.Out.Len()
		b.need.f32 = max(b.need.f32, size)
		b.scratch(0, 0, size)
		row := p.W * p.C // of parameters: kernels run faster over long rows
		factors, offsets := spread(nil, p.A, p.C, p.W), spread(nil, p.B, p.C, p.W)
		return func(st *state, images int) {
			y, normalized, codes := st.value(b.self), st.row[:size], st.scratch.U8[:size]
			for i := range images {
				kernels.ScaleBias(normalized, st.floats[i*size:][:size], factors, offsets)
				kernels.QuantizeCodes(codes, normalized, &p.Grid, p.Rounding)
				for h := range p.H {
					copy(y.U8[y.L.Row(i, h):][:row], codes[h*row:])
				}
			}
		}
	}
	return func(st *state, images int) {
		y := st.value(b.self)
		eachElement(y, images, func(i, at, c int) { y.put(at, int64(p.code(st.floats[i], c))) })
	}
}

// inputFile is what a header says of an input.
type inputFile struct {
	Rounding quant.Rounding `json:"rounding"`
}

func (p *Input) encode(w *fileWriter) any {
	w.floats("a", p.A)
	w.floats("b", p.B)
	return inputFile{p.Rounding}
}

func (p *InputFloat) encode(w *fileWriter) any {
	w.floats("a", p.A)
	w.floats("b", p.B)
	return inputFile{p.Rounding}
}

func decodeInput(r *fileReader) (Op, error) {
	p, err := decodeInputFloat(r)
	if err != nil {
		return nil, err
	}
	f := p.(*InputFloat)
	return &Input{C: f.C, H: f.H, W: f.W, A: f.A, B: f.B, Grid: f.Grid, Rounding: f.Rounding}, nil
}

func decodeInputFloat(r *fileReader) (Op, error) {
	var attrs inputFile
	if err := r.attrs(&attrs); err != nil {
		return nil, err
	}
	s := r.node.Shape
	p := &InputFloat{C: s[0], H: s[1], W: s[2], Grid: r.grid, Rounding: attrs.Rounding}
	var err error
	if p.A, err = r.floats("a"); err != nil {
		return nil, err
	}
	p.B, err = r.floats("b")
	return p, err
}
