package autograd

import (
	"testing"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

var _ integer.Lowerer = (*channelPad)(nil)

func TestChannelPadLower(t *testing.T) {
	grid := quant.Grid{BitWidth: 8, ZeroPoint: 3, Scale: []float32{0.5}}
	b := integer.NewBuilder("net")
	x := b.Input("input", integer.Input{C: 2, H: 1, W: 1, A: []float32{1, 1}, B: []float32{0, 0}, Grid: grid})
	s := &channelPad{before: 1, in: View{L: kernels.Dense(1, 1, 1, 2)}, y: View{L: kernels.Dense(1, 1, 1, 5), Grid: &grid}}
	y, err := s.Lower(b, "pad", []integer.Ref{x})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := b.Build(y)
	if err != nil {
		t.Fatal(err)
	}
	n := m.Nodes[len(m.Nodes)-1]
	if p, ok := n.Op.(*integer.Pad); !ok || p.Before != 1 || p.After != 2 || n.Out.C != 5 || !n.Grid.Equal(grid) {
		t.Errorf("got %+v on %v with %d channels", n.Op, n.Grid, n.Out.C)
	}
	s.y.Grid = nil
	if _, err := s.Lower(b, "float", []integer.Ref{x}); err == nil {
		t.Error("floats have no integer form")
	}
}
