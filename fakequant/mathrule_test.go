package fakequant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// codeView returns random codes of an image [2 h w c] on g, with a border.
func codeView(r *rand.Rand, g quant.Grid, h, w, c int) autograd.View {
	f := quant.UniformFormat{BitWidth: g.BitWidth, Signed: g.Signed, Affine: g.ZeroPoint != 0}
	v := autograd.View{Type: autograd.Type{Shape: []int{2, c, h, w}, DType: codeType(f), Format: &f}, Grid: &g}
	l, size := kernels.Bordered(2, h, w, c, 1, 0, 0, 1)
	v.L = l
	v.Memory = autograd.Memory{DType: v.Type.DType, U8: make([]uint8, size)}
	for i := range v.U8 {
		v.U8[i] = uint8(g.QMin() + r.Int32N(g.QMax()-g.QMin()+1))
	}
	return v
}

func gradView(r *rand.Rand, h, w, c int, add bool) autograd.View {
	v := autograd.View{Type: autograd.Type{Shape: []int{2, c, h, w}}, Add: add}
	l, size := kernels.Bordered(2, h, w, c, 0, 1, 1, 0)
	v.L = l
	v.F32 = make([]float32, size)
	for i := range v.F32 {
		v.F32[i] = float32(r.NormFloat64())
	}
	return v
}

// TestBytesEqualWideCodes holds the kernels for codes in bytes to the loops for codes of any width.
func TestBytesEqualWideCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const h, w, c = 4, 5, 3
	pool := autograd.PoolAttrs{KH: 3, KW: 2, StrideH: 2, StrideW: 1, Pad: autograd.Border{Top: 1, Left: 1, Right: 1}}
	ops := []autograd.Op{autograd.AddOp{}, autograd.SubtractOp{}, autograd.MultiplyOp{}, autograd.ConcatOp{}, autograd.GlobalMeanOp{Image: true},
		autograd.AveragePoolOp{AveragePoolAttrs: autograd.AveragePoolAttrs{PoolAttrs: pool, CountPad: true}}}
	for _, out := range outputs(testScale) {
		if out.format.BitWidth > 8 {
			continue
		}
		for k, op := range ops {
			for act := range activation(3) {
				for _, add := range []bool{false, true} {
					a, b := grid(8, true, 0, testScale), grid(6, false, 9, 0.171875)
					if out.format.PowerOfTwo {
						a, b = grid(8, true, 0, 1.0/16), grid(6, false, 0, 1.0/8)
					}
					in := []autograd.View{codeView(r, a, h, w, c), codeView(r, b, h, w, c)}
					if k > 3 {
						in = in[:1]
					}
					var types []autograd.Type
					var dx [2][]autograd.View
					for _, v := range in {
						types = append(types, v.Type)
						g := gradView(r, h, w, c, add)
						dx[0] = append(dx[0], g)
						g.F32 = slices.Clone(g.F32)
						dx[1] = append(dx[1], g)
					}
					spec, err := op.Infer(autograd.Env{}, types)
					if err != nil {
						t.Fatal(err)
					}
					oc, oh, ow := spec.Out.CHW()
					q := Quantizer{Format: out.format, Estimator: out.est}
					var y, dy [2]autograd.View
					y[0] = codeView(r, out.grid(), oh, ow, oc)
					y[1] = y[0]
					y[1].U8 = slices.Clone(y[0].U8)
					dy[0] = gradView(r, oh, ow, oc, false)
					dy[1] = dy[0]
					var bits [2][]uint8
					var ends [2][]float32
					var inside [2]float64
					for i := range 2 {
						rule := newMathRule(IntMathOp{Float: op, act: act, Out: &q}, &autograd.Binding{In: in, Out: y[i], GradIn: dx[i], GradOut: dy[i], Batch: 2}, len(in))
						if i == 1 {
							*bytesOf(rule) = false
						}
						rule.refresh(act, out.est)
						size := kernels.BitBytes(ow * oc)
						bits[i] = make([]uint8, 2*oh*size)
						for row := range 2 * oh {
							lo, hi := rule.row(0, row, bits[i][row*size:(row+1)*size])
							ends[i] = append(ends[i], lo, hi)
						}
						for n := range 2 {
							inside[i] += rule.gradient(0, n)
						}
					}
					name := fmt.Sprintf("%s %s %q add=%v", op.Name(), out.name, activationNames[act], add)
					if !slices.Equal(y[0].U8, y[1].U8) {
						t.Errorf("%s: the codes differ", name)
					}
					if !slices.Equal(bits[0], bits[1]) {
						t.Errorf("%s: the pass bits differ:\n%b\n%b", name, bits[0], bits[1])
					}
					if !slices.Equal(ends[0], ends[1]) {
						t.Errorf("%s: the ranges differ: %v, %v", name, ends[0], ends[1])
					}
					if math.Abs(inside[0]-inside[1]) > 1e-9*math.Abs(inside[0]) {
						t.Errorf("%s: sum of the range's gradient %v, %v", name, inside[0], inside[1])
					}
					for j := range in {
						if !slices.Equal(dx[0][j].F32, dx[1][j].F32) {
							t.Errorf("%s: gradients of operand %d differ", name, j)
						}
					}
				}
			}
		}
	}
}

// bytesOf returns what says that a rule treats codes in bytes.
func bytesOf(r mathRule) *bool {
	switch r := r.(type) {
	case *sumRule:
		return &r.bytes
	case *productRule:
		return &r.bytes
	case *concatRule:
		return &r.bytes
	case *averageRule:
		return &r.bytes
	}
	return nil
}
