package autograd_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

func init() {
	for _, k := range []struct {
		batch, c, h, w, before, after int
		grid                          *quant.Grid
	}{
		{2, 3, 4, 5, 2, 1, nil},
		{1, 1, 1, 1, 0, 3, nil},
		{3, 17, 2, 3, 4, 0, nil},
		{2, 2, 3, 3, 0, 0, nil},
		{2, 3, 4, 4, 1, 2, &quant.Grid{BitWidth: 8, ZeroPoint: 77, Scale: []float32{0.02}}},
		{2, 3, 4, 4, 1, 2, &quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{0.25}}},
		{2, 3, 4, 4, 1, 2, &quant.Grid{BitWidth: 12, Signed: true, Scale: []float32{0.001}}},
		{2, 3, 4, 4, 1, 2, &quant.Grid{BitWidth: 4, Signed: true, MidRise: true, Scale: []float32{0.25}}},
	} {
		suite.Add(optest.Case{
			Name:   fmt.Sprintf("channel pad %dx%dx%dx%d %d before %d after grid %v", k.batch, k.c, k.h, k.w, k.before, k.after, k.grid),
			Batch:  k.batch,
			Inputs: []optest.Input{{Name: "x", Shape: []int{k.c, k.h, k.w}, Grid: k.grid}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.ChannelPad("pad", in[0], k.before, k.after)
			},
			Ref: func(in []optest.Array) optest.Array {
				y := optest.NewArray(k.batch, k.before+k.c+k.after, k.h, k.w)
				in[0].Each(func(v float64, at []int) { y.Set(v, at[0], at[1]+k.before, at[2], at[3]) })
				return y
			},
		})
	}
}

func TestChannelPadType(t *testing.T) {
	for _, c := range []struct {
		grid quant.Grid
		want string
	}{
		{quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{1}}, "[N 5 2 2] int4 power-of-two"},
		{quant.Grid{BitWidth: 4, Signed: true, MidRise: true, Scale: []float32{1}}, "[N 5 2 2]"},
	} {
		k := optest.Case{
			Inputs: []optest.Input{{Name: "x", Shape: []int{2, 2, 2}, Grid: &c.grid}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				y := autograd.ChannelPad("pad", in[0], 1, 2)
				if got := y.Type().String(); got != c.want {
					t.Errorf("%v: got %s, want %s", c.grid, got, c.want)
				}
				return y
			},
			Ref: func(in []optest.Array) optest.Array {
				y := optest.NewArray(2, 5, 2, 2)
				in[0].Each(func(v float64, at []int) { y.Set(v, at[0], at[1]+1, at[2], at[3]) })
				return y
			},
		}
		k.Name = fmt.Sprint(c.grid)
		optest.Check(t, k)
	}
}

func TestChannelPadErrors(t *testing.T) {
	for _, c := range []struct {
		shape         []int
		before, after int
		want          string
	}{
		{[]int{3, 4, 4}, -1, 0, "pad: channel_pad [N 3 4 4]: -1 channels before and 0 after 3: must not be negative"},
		{[]int{3, 4, 4}, 0, -1, "must not be negative"},
		{[]int{3, 4, 4}, math.MaxInt, math.MaxInt, "below 2^30 in all"},
		{[]int{3}, 1, 1, "the input must be an image [N C H W]"},
	} {
		g := autograd.NewGraph("net")
		autograd.ChannelPad("pad", g.Input("x", autograd.Float32, c.shape...), c.before, c.after)
		if err := g.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}
