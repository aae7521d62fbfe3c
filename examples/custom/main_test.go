package main

import (
	"errors"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/quant"
)

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for some seconds")
	}
	diff, err := run(t.Context(), 640, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff.Mismatches != 0 || diff.Codes < 1_000_000 || diff.Accuracy() < 0.5 {
		t.Errorf("%d of %d codes differ, accuracy %.3f: %s", diff.Mismatches, diff.Codes, diff.Accuracy(), diff.First)
	}
}

// TestOps compares the operations, and their gradients, with what they are to be
// in float64: alone and with other readers, on floats and on codes.
func TestOps(t *testing.T) {
	const c, h, w, groups = 6, 3, 5, 3
	shuffled := func(in []optest.Array) optest.Array {
		y := optest.NewArray(in[0].Shape...)
		in[0].Each(func(v float64, at []int) {
			g, i := at[1]/(c/groups), at[1]%(c/groups)
			y.Set(v, at[0], i*groups+g, at[2], at[3])
		})
		return y
	}
	shuffle := func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node { return ChannelShuffle("y", in[0], groups) }
	for _, test := range []optest.Case{
		{
			Name: "mish", Inputs: []optest.Input{{Name: "x", Shape: []int{c, h, w}, Draw: optest.Normal(3)}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node { return Mish("y", in[0]) },
			Ref: func(in []optest.Array) optest.Array {
				return in[0].Map(func(x float64) float64 { return x * math.Tanh(math.Log(1+math.Exp(x))) })
			},
		},
		{Name: "shuffle", Inputs: []optest.Input{{Name: "x", Shape: []int{c, h, w}}}, Build: shuffle, Ref: shuffled},
		{
			Name: "shuffle codes", Build: shuffle, Ref: shuffled,
			Inputs: []optest.Input{{Name: "x", Shape: []int{c, h, w}, Grid: &quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{0.5}}}},
		},
	} {
		t.Run(test.Name, func(t *testing.T) { optest.Check(t, test) })
	}

	b := autograd.NewGraph("net")
	b.SetOutput("y", ChannelShuffle("mix", b.Input("x", autograd.Float32, 16, 2, 2), 3))
	if got := b.Err().Error(); got != "mix: channel_shuffle [N 16 2 2]: 16 channels do not divide into 3 groups" {
		t.Error(got)
	}
}

func TestShapes(t *testing.T) {
	s := Shapes{N: 40, Seed: 3}
	var all, one datasets.Batch
	indices := make([]int, s.N)
	for i := range indices {
		indices[i] = i
	}
	if err := s.Read(&all, indices); err != nil {
		t.Fatal(err)
	}
	size := s.Info().Size()
	for _, i := range []int{39, 7, 0} { // in any order
		if err := s.Read(&one, []int{i}); err != nil {
			t.Fatal(err)
		}
		if string(one.Pixels) != string(all.Pixels[i*size:(i+1)*size]) || one.Labels[0] != all.Labels[i] {
			t.Errorf("image %d is another one when it is read alone", i)
		}
	}
	if n := testing.AllocsPerRun(10, func() { _ = s.Read(&all, indices) }); n > 2 { // Info makes two slices
		t.Errorf("%v allocations", n)
	}
	if err := s.Read(&all, []int{40}); !errors.Is(err, datasets.ErrIndex) {
		t.Errorf("image 40 of 40: %v", err)
	}
}
