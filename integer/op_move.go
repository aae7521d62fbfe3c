package integer

import "github.com/bitgrad/bitgrad/internal/kernels"

// Pad surrounds an image with the code of zero, in rows, columns and channels. The grid
// is kept.
type Pad struct {
	Pad           Pads
	Before, After int // channels
}

// Kind returns "pad".
func (*Pad) Kind() string { return "pad" }

func (p *Pad) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	out := output{Type: x.Out, Grid: x.Grid}
	if err := needZero(x, "pads must be zero"); err != nil {
		return out, err
	}
	for _, n := range [...]int{p.Pad.Top, p.Pad.Left, p.Pad.Bottom, p.Pad.Right, p.Before, p.After} {
		if n < 0 || n > maxWindow {
			return out, refuse(ErrShape, "pad %d: must be 0 to %d", n, maxWindow)
		}
	}
	out.C += p.Before + p.After
	out.H += p.Pad.Top + p.Pad.Bottom
	out.W += p.Pad.Left + p.Pad.Right
	return out, out.Type.validate()
}

func (p *Pad) interpret(n *Node, in []*Node, x [][]int64) []int64 {
	t := in[0].Out
	y := make([]int64, 0, n.Out.Len())
	for c := range n.Out.C {
		for h := range n.Out.H {
			for w := range n.Out.W {
				i, k, l := c-p.Before, h-p.Pad.Top, w-p.Pad.Left
				if i < 0 || i >= t.C || k < 0 || k >= t.H || l < 0 || l >= t.W {
					y = append(y, int64(n.Grid.ZeroPoint))
				} else {
					y = append(y, x[0][(i*t.H+k)*t.W+l])
				}
			}
		}
	}
	return y
}

func (p *Pad) bind(b *binding, n *Node, in []*Node) step {
	source, t, zero := n.In[0], in[0].Out, int64(n.Grid.ZeroPoint)
	return func(st *state, images int) {
		y, x := st.value(b.self), st.value(source)
		eachPixel(images, y, func(i, h, w int) {
			at, k, l := y.place(i, h, w), h-p.Pad.Top, w-p.Pad.Left
			if k < 0 || k >= t.H || l < 0 || l >= t.W {
				y.fill(at, n.Out.C, zero)
				return
			}
			y.fill(at, p.Before, zero)
			y.copyFrom(at+p.Before, x, x.place(i, k, l), t.C)
			y.fill(at+p.Before+t.C, p.After, zero)
		})
	}
}

// Range selects every Step-th index from Start up to, not including, Stop. Stop 0 means
// the end of the axis and Step 0 means 1, so that the zero Range selects all.
type Range struct {
	Start int `json:"start,omitempty"`
	Stop  int `json:"stop,omitempty"`
	Step  int `json:"step,omitempty"`
}

// resolve fills in what is 0 and returns the number of indices.
func (r Range) resolve(axis string, extent int) (Range, int, error) {
	if r.Stop == 0 {
		r.Stop = extent
	}
	if r.Step == 0 {
		r.Step = 1
	}
	if r.Start < 0 || r.Step < 1 || r.Stop > extent || r.Start >= r.Stop {
		return r, 0, refuse(ErrShape, "slice %d:%d:%d of axis %s: must select some of %d", r.Start, r.Stop, r.Step, axis, extent)
	}
	return r, (r.Stop-1-r.Start)/r.Step + 1, nil
}

// Slice selects channels, rows and columns, each with a step. The grid is kept.
type Slice struct{ C, H, W Range }

// Kind returns "slice".
func (*Slice) Kind() string { return "slice" }

func (s *Slice) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	out := output{Type: x.Out, Grid: x.Grid}
	if s.C, out.C, err = s.C.resolve("C", x.Out.C); err != nil {
		return out, err
	}
	if s.H, out.H, err = s.H.resolve("H", x.Out.H); err != nil {
		return out, err
	}
	s.W, out.W, err = s.W.resolve("W", x.Out.W)
	return out, err
}

func (s *Slice) interpret(n *Node, in []*Node, x [][]int64) []int64 {
	t := in[0].Out
	y := make([]int64, 0, n.Out.Len())
	for c := s.C.Start; c < s.C.Stop; c += s.C.Step {
		for h := s.H.Start; h < s.H.Stop; h += s.H.Step {
			for w := s.W.Start; w < s.W.Stop; w += s.W.Step {
				y = append(y, x[0][(c*t.H+h)*t.W+w])
			}
		}
	}
	return y
}

func (s *Slice) bind(b *binding, n *Node, _ []*Node) step {
	source := n.In[0]
	return func(st *state, images int) {
		y, x := st.value(b.self), st.value(source)
		eachPixel(images, y, func(i, h, w int) {
			to, from := y.place(i, h, w), x.place(i, s.H.Start+h*s.H.Step, s.W.Start+w*s.W.Step)+s.C.Start
			if s.C.Step == 1 {
				y.copyFrom(to, x, from, n.Out.C)
				return
			}
			for c := range n.Out.C {
				y.copyFrom(to+c, x, from+c*s.C.Step, 1)
			}
		})
	}
}

// Reshape gives the codes of an image, in [C H W] order, new extents with the same
// product. The grid is kept. [Builder.Flatten] is a Reshape to [C·H·W 1 1].
type Reshape struct{ C, H, W int }

// Kind returns "reshape".
func (*Reshape) Kind() string { return "reshape" }

func (r *Reshape) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	out := output{Type: x.Out, Grid: x.Grid}
	out.C, out.H, out.W = r.C, r.H, r.W
	if err := out.Type.validate(); err != nil {
		return out, err
	}
	if out.Len() != x.Out.Len() {
		return out, refuse(ErrShape, "[%d %d %d] has %d elements, [%d %d %d] has %d",
			x.Out.C, x.Out.H, x.Out.W, x.Out.Len(), r.C, r.H, r.W, out.Len())
	}
	return out, nil
}

func (*Reshape) interpret(_ *Node, _ []*Node, x [][]int64) []int64 { return x[0] }

func (r *Reshape) bind(b *binding, n *Node, in []*Node) step {
	source, t := n.In[0], in[0].Out
	flat := r.H*r.W == 1 && bytesOf(t)
	return func(st *state, images int) {
		y, x := st.value(b.self), st.value(source)
		for i := range images {
			if flat {
				flatten(y.U8[y.place(i, 0, 0):][:r.C], x.U8[x.place(i, 0, 0):], x.L)
				continue
			}
			k := 0 // position in [C H W] order
			for c := range t.C {
				for h := range t.H {
					for w := range t.W {
						to := y.place(i, k/r.W%r.H, k%r.W) + k/(r.W*r.H)
						y.copyFrom(to, x, x.place(i, h, w)+c, 1)
						k++
					}
				}
			}
		}
	}
}

// flatten copies an image of layout l to [C H W] order.
func flatten(y, x []uint8, l kernels.Layout) {
	k := 0
	for c := range l.C {
		for h := range l.H {
			row := x[h*l.SH+c:]
			for w := range l.W {
				y[k] = row[w*l.SW]
				k++
			}
		}
	}
}

// padFile is what a header says of a pad.
type padFile struct {
	Pad    Pads `json:"pad"`
	Before int  `json:"before,omitempty"`
	After  int  `json:"after,omitempty"`
}

func (p *Pad) encode(*fileWriter) any { return padFile{p.Pad, p.Before, p.After} }

func decodePad(r *fileReader) (Op, error) {
	var f padFile
	err := r.attrs(&f)
	return &Pad{f.Pad, f.Before, f.After}, err
}

// sliceFile is what a header says of a slice.
type sliceFile struct {
	C Range `json:"c"`
	H Range `json:"h"`
	W Range `json:"w"`
}

func (s *Slice) encode(*fileWriter) any { return sliceFile{s.C, s.H, s.W} }

func decodeSlice(r *fileReader) (Op, error) {
	var f sliceFile
	err := r.attrs(&f)
	return &Slice{f.C, f.H, f.W}, err
}

func (*Reshape) encode(*fileWriter) any { return struct{}{} }

func decodeReshape(r *fileReader) (Op, error) {
	var none struct{}
	s := r.node.Shape
	return &Reshape{s[0], s[1], s[2]}, r.attrs(&none)
}
