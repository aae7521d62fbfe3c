package autograd

import (
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

// Operations that compute on real numbers see what the codes stand for, whatever
// holds the codes.
func TestAsFloats(t *testing.T) {
	image := []int{1, 2, 1, 2} // one row of two pixels of two channels
	for _, c := range []struct {
		name  string
		dtype DType
		grid  *quant.Grid
		codes []int32
		want  []float32
	}{
		{"pixels", Uint8, nil, []int32{0, 255, 7, 200}, []float32{0, 255, 7, 200}},
		{"uint8", Uint8, &quant.Grid{BitWidth: 8, ZeroPoint: 3, Scale: []float32{0.5}}, []int32{3, 255, 0, 4}, []float32{0, 126, -1.5, 0.5}},
		{"int8", Int8, &quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.25}}, []int32{-128, 127, -1, 1}, []float32{-32, 31.75, -0.25, 0.25}},
		{"per channel", Int8, &quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{1, 0.5}}, []int32{-3, -3, 4, 4}, []float32{-3, -1.5, 4, 2}},
		{"int32", Int32, &quant.Grid{BitWidth: 16, Signed: true, Scale: []float32{2}}, []int32{-32768, 1, 2, 3}, []float32{-65536, 2, 4, 6}},
		{"mid-rise", Int8, &quant.Grid{BitWidth: 2, Signed: true, MidRise: true, Scale: []float32{1}}, []int32{-2, -1, 0, 1}, []float32{-1.5, -0.5, 0.5, 1.5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			typ := Type{Shape: image, DType: c.dtype, Format: &quant.UniformFormat{BitWidth: 8}}
			var spec Spec
			frame := Border{Top: 1, Left: 1, Bottom: 0, Right: 1}
			spec.floatBuffer([]Type{typ}, 0, frame)
			in := View{Type: typ, Grid: c.grid}
			in.L, _ = layoutOf(typ, Border{Left: 1}) // with a border of its own
			in.Memory = newArena(64).at(0, c.dtype, 6)
			for i, q := range c.codes {
				in.SetCode(in.Row(0)+i, q)
			}
			b := &Binding{In: []View{in}, Scratch: []Memory{newArena(bytesFor(Float32, spec.Scratch[0].Len)).at(0, Float32, spec.Scratch[0].Len)}}
			for i := range b.Scratch[0].F32 {
				b.Scratch[0].F32[i] = 99
			}
			f := b.floatsOf(0, frame)
			f.run(&Context{})
			if got := f.Floats(nil); !slices.Equal(got, []float32{c.want[0], c.want[2], c.want[1], c.want[3]}) {
				t.Errorf("got %v, want %v in NCHW order", got, c.want)
			}
			sum := float32(0)
			for _, v := range f.F32 {
				sum += v
			}
			if want := c.want[0] + c.want[1] + c.want[2] + c.want[3]; sum != want {
				t.Errorf("the border is not zero: all elements sum to %v, want %v", sum, want)
			}
			if len(b.Scratch) != 0 {
				t.Error("the scratch memory was not taken")
			}
		})
	}
}
