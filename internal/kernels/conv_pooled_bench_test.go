package kernels

import "testing"

// BenchmarkPooledGradient compares the gradients of convolutions in front of a max pool with those of the
// gradient written out.
func BenchmarkPooledGradient(b *testing.B) {
	r := testRand()
	pad := func(s ConvShape, p int) ConvShape {
		s.PadTop, s.PadLeft, s.PadBottom, s.PadRight = p, p, p, p
		return s
	}
	for _, c := range []struct {
		name string
		s    ConvShape
		p    PoolShape
	}{
		{"lenet 1-20", ConvShape{C: 1, O: 20, KH: 5, KW: 5, H: 28, W: 28}, PoolShape{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
		{"lenet 20-50", ConvShape{C: 20, O: 50, KH: 5, KW: 5, H: 12, W: 12}, PoolShape{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
		{"cifar 3-32", pad(ConvShape{C: 3, O: 32, KH: 5, KW: 5, H: 32, W: 32}, 2), PoolShape{KH: 3, KW: 3, StrideH: 2, StrideW: 2}},
		{"3x3 3-32", pad(ConvShape{C: 3, O: 32, KH: 3, KW: 3, H: 32, W: 32}, 1), PoolShape{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
		{"3x3 32-32", pad(ConvShape{C: 32, O: 32, KH: 3, KW: 3, H: 16, W: 16}, 1), PoolShape{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
		{"1x1 32-64", ConvShape{C: 32, O: 64, KH: 1, KW: 1, H: 16, W: 16}, PoolShape{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
	} {
		s, p := c.s, c.p
		if err := s.Complete(); err != nil {
			b.Fatal(err)
		}
		p.C, p.H, p.W = s.O, s.OH, s.OW
		if err := p.Complete(); err != nil {
			b.Fatal(err)
		}
		const batch = 16
		x := newTensor(r, batch, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, false)
		x.data = append(x.data, make([]float32, 8)...)
		dx := x.clone()
		in := s.InputGradient()
		top, left, bottom, right := in.DyBorder()
		dz := newTensor(r, 1, s.OH, s.OW, s.O, top, left, bottom, right, false)
		dz.SN, dz.N = 0, batch
		dy := newTensor(r, batch, p.OH, p.OW, s.O, 0, 0, 0, 0, false)
		w := normals(r, s.WeightSize())
		index := make([]uint8, batch*p.OH*p.OW*s.O, batch*p.OH*p.OW*s.O+3)
		for i := range index {
			index[i] = uint8(r.IntN(p.KH * p.KW))
			if oh, ow := i/s.O/p.OW%p.OH, i/s.O%p.OW; oh*p.StrideH+int(index[i])/p.KW >= s.OH || ow*p.StrideW+int(index[i])%p.KW >= s.OW {
				index[i] = 0
			}
		}
		b.Run(c.name+"/written out", func(b *testing.B) {
			for b.Loop() {
				for n := range batch {
					p.MaxBackward(dz.data, dz.Layout, dy.data, dy.Layout, index, n, n+1, false)
				}
			}
		})
		packed := make([]float32, in.PackedSize())
		in.Pack(packed, w)
		kb, tiledIn := s.WinogradBackward()
		kw, tiledW := s.WinogradWeight()
		sums := make([]float32, s.WeightSize())
		if tiledW {
			sums = make([]float32, kw.Size())
		}
		scratch := make([]float32, 1<<20)
		tiles := make([]float32, 1<<20)
		b.Run(c.name+"/weight of all pixels", func(b *testing.B) {
			for b.Loop() {
				if !tiledW {
					s.BackwardWeight(sums, x.data, x.Layout, dz.data, dz.Layout, 0, batch, false)
					continue
				}
				sum := kw.Begin(sums, scratch)
				for n := range batch {
					sum.Image(x.data, x.Layout, dz.data, dz.Layout, n)
				}
				sum.End()
			}
			reportRate(b, int(2*batch*s.MACs()))
		})
		b.Run(c.name+"/input of all pixels", func(b *testing.B) {
			for b.Loop() {
				for n := range batch {
					if tiledIn {
						kb.Rows(dx.data, dx.Layout, dz.data, dz.Layout, tiles, nil, scratch, n, 0, s.H, false)
					} else {
						in.Backward(dx.data, dx.Layout, dz.data, dz.Layout, packed, n, n+1, false)
					}
				}
			}
			reportRate(b, int(2*batch*s.MACs()))
		})
		g, _ := s.PooledGradient(p)
		routes := g.NewRoutes(x.Layout, true)
		sums = make([]float32, g.WeightSize())
		packed = make([]float32, g.Size())
		for i := range g.Panels() {
			g.PackPanel(packed, w, i)
		}
		b.Run(c.name+"/routes", func(b *testing.B) {
			for b.Loop() {
				for n := range batch {
					g.Route(routes, dy.data, dy.Layout, index, nil, n)
				}
			}
		})
		b.Run(c.name+"/weight", func(b *testing.B) {
			for b.Loop() {
				for n := range batch {
					g.Weight(sums, x.data, x.Layout, routes, n, true)
				}
			}
			reportRate(b, int(2*batch*s.MACs()))
		})
		b.Run(c.name+"/input", func(b *testing.B) {
			for b.Loop() {
				for n := range batch {
					g.Input(dx.data, dx.Layout, routes, packed, n, false)
				}
			}
			reportRate(b, int(2*batch*s.MACs()))
		})
	}
}
