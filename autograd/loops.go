package autograd

import (
	"errors"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/kernels"
)

// loopBlock is about how many elements one worker treats at a time.
const loopBlock = 8192

// A rowLoop calls body for blocks of the rows of a value. The blocks depend on
// the shape alone, so a sum per block does not depend on the workers.
type rowLoop struct {
	rows, per int
	body      func(block, r0, r1 int)
	fn        func(worker, i int)
}

// newRowLoop binds a loop over rows of the given length; body treats rows
// r0..r1-1.
func newRowLoop(rows, length int, body func(block, r0, r1 int)) *rowLoop {
	l := &rowLoop{rows: rows, per: max(1, loopBlock/max(length, 1)), body: body}
	l.fn = l.block
	return l
}

// overRows binds a loop over the rows of v.
func overRows(v View, body func(block, r0, r1 int)) *rowLoop {
	rows, length := v.Rows()
	return newRowLoop(rows, length, body)
}

// blocks returns the number of blocks.
func (l *rowLoop) blocks() int { return blocks(l.rows, l.per) }

func (l *rowLoop) run(c *Context) { c.Pool.Run(l.blocks(), l.fn) }

func (l *rowLoop) block(_, i int) { l.body(i, i*l.per, min((i+1)*l.per, l.rows)) }

// f32Row returns row r of a float32 value.
func (v View) f32Row(r int) []float32 {
	at := v.Row(r)
	return v.F32[at : at+v.L.W*v.L.C]
}

// copyRow writes src to a row of a gradient, or adds it.
func copyRow(dst, src []float32, add bool) {
	if !add {
		copy(dst, src)
		return
	}
	kernels.Add(dst, dst, src)
}

// fillZero writes real zero, code z, to n elements.
func fillZero(dst View, to, n int, z int32) {
	switch {
	case dst.F32 != nil:
		clear(dst.F32[to : to+n])
	case dst.U8 != nil:
		s := dst.U8[to : to+n]
		for i := range s {
			s[i] = uint8(z)
		}
	case dst.I32 != nil:
		s := dst.I32[to : to+n]
		for i := range s {
			s[i] = z
		}
	default:
		clear(dst.I64[to : to+n])
	}
}

// movable reports whether an operation that only moves elements can move them
// as they are stored. Codes with a scale per channel would land on another
// channel's grid.
func movable(t Type) bool { return !t.IsCodes() || !t.Format.PerChannel }

// moved starts the spec of an operation that moves the elements of operand i:
// the result has the operand's elements, or real numbers where those cannot be
// moved as they are.
func moved(in []Type, keep bool, shape ...int) (Spec, error) {
	if in[0].Plain {
		return Spec{}, errNotBatched
	}
	if err := checkReal(in[0]); err != nil {
		return Spec{}, err
	}
	out := in[0]
	out.Shape = shape
	if err := checkReal(out); err != nil {
		return Spec{}, err
	}
	s := Spec{Out: out, Moves: true}
	if !keep {
		s.Out = out.Floats()
		s.floatBuffer(in, 0, Border{})
	}
	return s, nil
}

// movesCodes returns an error unless y and all operands are codes of the integer
// model that is being built.
func movesCodes(y View, in []integer.Ref) error {
	for _, r := range in {
		if r == integer.NoRef || y.Grid == nil {
			return errors.New("an operand is computed in floats")
		}
	}
	return nil
}

// source binds operand i of an operation that moves elements: as it is stored
// where the result is stored alike, otherwise as real numbers.
func (b *Binding) source(i int) *asFloats {
	if b.Out.Elem() != b.In[i].Elem() || b.Out.IsCodes() != b.In[i].IsCodes() {
		return b.floatsOf(i, Border{})
	}
	return &asFloats{View: b.In[i], src: b.In[i]}
}
