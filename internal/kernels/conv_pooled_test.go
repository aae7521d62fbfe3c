package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestPooledGradient compares the gradients in front of a pool with the definitions, on the gradient
// written out with its zeros.
func TestPooledGradient(t *testing.T) {
	pools := []PoolShape{
		{KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		{KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
		{KH: 1, KW: 2, StrideH: 3, StrideW: 1, PadRight: 1},
		{KH: 3, KW: 2, StrideH: 1, StrideW: 3, PadTop: 2},
	}
	test := func(t *testing.T) {
		r := testRand()
		tested := 0
		for _, s := range convCases(t) {
			for i, p := range pools {
				p.C, p.H, p.W = s.O, s.OH, s.OW
				if p.Complete() != nil {
					continue
				}
				if g, ok := s.PooledGradient(p); ok {
					t.Run(fmt.Sprintf("%s/pool %d", s.name(), i), func(t *testing.T) { testPooledGradient(t, r, &s, &p, &g) })
					tested++
				}
			}
		}
		if tested < 40 {
			t.Errorf("%d cases", tested)
		}
	}
	forEach(t, "sparse", test)
	forEach(t, "routes", test)
}

// TestPooledGradientChoice holds what is chosen to what was measured.
func TestPooledGradientChoice(t *testing.T) {
	half := PoolShape{KH: 2, KW: 2, StrideH: 2, StrideW: 2}
	for _, c := range []struct {
		s    ConvShape
		p    PoolShape
		want bool
	}{
		{ConvShape{C: 1, O: 20, KH: 5, KW: 5, H: 28, W: 28}, half, true},
		{ConvShape{C: 20, O: 50, KH: 5, KW: 5, H: 12, W: 12}, half, true},
		{ConvShape{C: 3, O: 32, KH: 5, KW: 5, H: 36, W: 36}, PoolShape{KH: 3, KW: 3, StrideH: 2, StrideW: 2}, true},
		{ConvShape{C: 3, O: 64, KH: 7, KW: 7, StrideH: 2, StrideW: 2, H: 70, W: 70}, PoolShape{KH: 3, KW: 3, StrideH: 2, StrideW: 2}, true},
		{ConvShape{C: 20, O: 50, KH: 5, KW: 5, H: 12, W: 12}, PoolShape{KH: 2, KW: 2, StrideH: 1, StrideW: 1}, false},
		{ConvShape{C: 16, O: 16, KH: 3, KW: 3, H: 34, W: 34}, half, false}, // Winograd
		{ConvShape{C: 20, O: 50, KH: 5, KW: 5, DilW: 2, H: 12, W: 16}, half, false},
		{ConvShape{C: 20, O: 50, KH: 5, KW: 5, Groups: 10, H: 12, W: 12}, half, false},
		{ConvShape{C: 1, O: 4, KH: 1, KW: 1, H: 8, W: 8}, PoolShape{KH: 17, KW: 17, PadTop: 16, PadLeft: 16, StrideH: 2, StrideW: 2}, false},
	} {
		if err := c.s.Complete(); err != nil {
			t.Fatal(err)
		}
		c.p.C, c.p.H, c.p.W = c.s.O, c.s.OH, c.s.OW
		if err := c.p.Complete(); err != nil {
			t.Fatal(err)
		}
		if g, ok := c.s.PooledGradient(c.p); (ok && g.Pays()) != c.want {
			t.Errorf("%s, pool %+v: want %v", c.s.name(), c.p, c.want)
		}
	}
}

func testPooledGradient(t *testing.T, r *rand.Rand, s *ConvShape, p *PoolShape, g *PooledGradient) {
	const batch = 2
	x := newTensor(r, batch, s.H, s.W, s.C, s.PadTop+1, s.PadLeft, s.PadBottom, s.PadRight+2, false)
	x.data = append(x.data, make([]float32, 7)...)
	z := newTensor(r, batch, s.OH, s.OW, s.O, 0, 0, 0, 0, false)
	y := newTensor(r, batch, p.OH, p.OW, s.O, 0, 0, 0, 0, false)
	index := make([]uint8, len(y.data)+routeSlack)
	p.Max(y.data, y.Layout, z.data, z.Layout, index, 0, batch)
	dy := newTensor(r, batch, p.OH, p.OW, s.O, 1, 0, 0, 1, false)
	w := smallInts(r, s.WeightSize(), 4)
	packed := guard(g.Size(), float32(7), 7)
	for i := range g.Panels() {
		g.PackPanel(packed.in, w, i)
	}
	packed.check(t, "packed weights")

	rowBytes := BitBytes(s.OW * s.O)
	bits := make([]uint8, batch*s.OH*rowBytes+routeSlack)
	for i := range bits {
		bits[i] = uint8(r.Uint32())
	}
	winners := p.WinnerBits()
	pass := make([]uint8, batch*winners.Size())
	for n := range batch {
		winners.Find(pass[n*winners.Size():], index, bits[n*s.OH*rowBytes:][:s.OH*rowBytes], n)
	}
	for _, masked := range []bool{false, true} {
		dz := z.clone()
		p.MaxBackward(dz.data, dz.Layout, dy.data, dy.Layout, index, 0, batch, false)
		if masked {
			for row := range batch * s.OH {
				at := dz.data[row*s.OW*s.O:][:s.OW*s.O]
				SelectBits(at, at, bits[row*rowBytes:], false)
			}
		}
		dx := newTensor(r, batch, s.H, s.W, s.C, 1, 1, 0, 1, false)
		sums := guard(g.WeightSize(), float32(5), 5)
		dw, bias := smallInts(r, s.WeightSize(), 4), make([]float64, s.O)
		wantX, wantW, wantBias := dx.clone(), append([]float32(nil), dw...), make([]float64, s.O)
		for _, add := range []bool{true, false} {
			s.RefBackwardInput(wantX.data, wantX.Layout, dz.data, dz.Layout, w, add)
			s.RefBackwardWeight(wantW, x.data, x.Layout, dz.data, dz.Layout, add)
			clear(wantBias)
			ChannelSums(wantBias, dz.data, dz.Layout, 0, batch)
			clear(bias)
			for _, input := range []bool{false, true} {
				routes := g.NewRoutes(x.Layout, input)
				for n := range batch {
					var passed []uint8
					if masked {
						passed = pass[n*winners.Size():]
					}
					g.Route(routes, dy.data, dy.Layout, index, passed, n)
					if input {
						g.Input(dx.data, dx.Layout, routes, packed.in, n, add)
						continue
					}
					g.Weight(sums.in, x.data[:len(x.data)-7], x.Layout, routes, n, n > 0)
					for o, v := range routes.Bias {
						bias[o] += v
					}
				}
			}
			g.UnpackWeightGrad(dw, sums.in, add)
			sums.check(t, "sums of dw")
			equalSlices(t, "dx", dx.data, wantX.data)
			equalSlices(t, "dw", dw, wantW)
			equalSlices(t, "db", bias, wantBias)
		}
	}
}
