package kernels

import (
	"math/rand/v2"
	"testing"
)

// The shapes that CIFAR networks and LeNet spend their time in.
func BenchmarkConv(b *testing.B) {
	r := testRand()
	for _, c := range []struct {
		name string
		ConvShape
	}{
		{"cifar 16-16", ConvShape{C: 16, O: 16, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 32, W: 32}},
		{"cifar 32-32", ConvShape{C: 32, O: 32, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 16, W: 16}},
		{"cifar 64-64", ConvShape{C: 64, O: 64, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 8, W: 8}},
		{"cifar 16-32 stride 2", ConvShape{C: 16, O: 32, KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 32, W: 32}},
		{"lenet 1-20", ConvShape{C: 1, O: 20, KH: 5, KW: 5, H: 28, W: 28}},
		{"lenet 20-50", ConvShape{C: 20, O: 50, KH: 5, KW: 5, H: 12, W: 12}},
		{"depthwise 32", ConvShape{C: 32, O: 32, KH: 3, KW: 3, Groups: 32, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 16, W: 16}},
	} {
		s := c.ConvShape
		if err := s.Complete(); err != nil {
			b.Fatal(err)
		}
		const batch = 16
		x := newTensor(r, batch, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, false)
		g := s.InputGradient()
		top, left, bottom, right := g.DyBorder()
		y := newTensor(r, batch, s.OH, s.OW, s.O, top, left, bottom, right, false)
		w := normals(r, s.WeightSize())
		operations := int(2 * batch * s.MACs())
		b.Run(c.name+"/forward", func(b *testing.B) {
			packed := make([]float32, s.ForwardSize())
			s.PackForward(packed, w)
			for b.Loop() {
				s.Forward(y.data, y.Layout, x.data, x.Layout, packed, nil, 0, batch)
			}
			reportRate(b, operations)
		})
		b.Run(c.name+"/backward input", func(b *testing.B) {
			packed := make([]float32, g.PackedSize())
			g.Pack(packed, w)
			for b.Loop() {
				g.Backward(x.data, x.Layout, y.data, y.Layout, packed, 0, batch, false)
			}
			reportRate(b, operations)
		})
		if k, ok := s.WinogradForward(); ok {
			packed, scratch := make([]float32, k.Size()), make([]float32, k.ScratchLen())
			b.Run(c.name+"/forward by tiles", func(b *testing.B) {
				k.Pack(packed, w)
				for b.Loop() {
					for n := range batch {
						k.Rows(y.data, y.Layout, x.data, x.Layout, packed, nil, scratch, n, 0, s.OH, false)
					}
				}
				reportRate(b, operations)
			})
			b.Run(c.name+"/transform of weights", func(b *testing.B) {
				for b.Loop() {
					k.Pack(packed, w)
				}
			})
		}
		b.Run(c.name+"/backward weight", func(b *testing.B) {
			dw := make([]float32, s.WeightSize())
			for b.Loop() {
				s.BackwardWeight(dw, x.data, x.Layout, y.data, y.Layout, 0, batch, false)
			}
			reportRate(b, operations)
		})
		for _, signed := range []bool{false, true} {
			b.Run(c.name+map[bool]string{false: "/u8", true: "/s8"}[signed], func(b *testing.B) {
				s := IntConv{ConvShape: s, Signed: signed}
				codes := randomBytes(r, len(x.data)+Slack)
				p, scratch, acc := randomWeights(r, &s, 127), make([]uint8, s.ScratchLen()), make([]int32, s.OH*s.OW*s.O)
				for b.Loop() {
					for n := range batch {
						s.Rows(acc, codes, x.Layout, p, scratch, n, 0, s.OH)
					}
				}
				reportRate(b, operations)
			})
		}
	}
}

// randomWeights returns packed weights up to an absolute value.
func randomWeights(r *rand.Rand, s *IntConv, most int) *IntWeights {
	w, p := make([]uint8, s.WeightSize()), new(IntWeights)
	for i := range w {
		w[i] = uint8(r.IntN(2*most+1) - most)
	}
	w[0] = uint8(most)
	s.Pack(p, w)
	s.Start(p, nil, 0)
	return p
}

func BenchmarkLinear(b *testing.B) {
	r := testRand()
	const n = 128
	for _, l := range []Linear{{800, 500}, {500, 10}, {1024, 256}} {
		x, y := normals(r, n*l.I), normals(r, n*l.O)
		w, bias := normals(r, l.I*l.O), normals(r, l.O)
		packed := make([]float32, l.ForwardSize())
		l.PackForward(packed, w)
		operations := 2 * n * l.I * l.O
		name := map[int]string{800: "800-500", 500: "500-10", 1024: "1024-256"}[l.I]
		b.Run(name+"/forward", func(b *testing.B) {
			for b.Loop() {
				l.Forward(y, x, packed, bias, 0, n)
			}
			reportRate(b, operations)
		})
		b.Run(name+"/pack", func(b *testing.B) {
			for b.Loop() {
				l.PackForward(packed, w)
			}
		})
		b.Run(name+"/backward input", func(b *testing.B) {
			for b.Loop() {
				l.BackwardInput(x, y, w, 0, n, false)
			}
			reportRate(b, operations)
		})
		b.Run(name+"/backward weight", func(b *testing.B) {
			for b.Loop() {
				l.BackwardWeight(w, x, y, n, 0, l.O, false)
			}
			reportRate(b, operations)
		})
		s := IntConv{ConvShape: ConvShape{C: l.I, O: l.O, KH: 1, KW: 1, H: 1, W: n}}
		if err := s.Complete(); err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/u8", func(b *testing.B) {
			codes := randomBytes(r, len(x)+Slack)
			p, scratch, acc := randomWeights(r, &s, 127), make([]uint8, s.ScratchLen()), make([]int32, n*l.O)
			for b.Loop() {
				s.Rows(acc, codes, Dense(1, 1, n, l.I), p, scratch, 0, 0, 1)
			}
			reportRate(b, operations)
		})
	}
}
