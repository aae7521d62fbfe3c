package autograd_test

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/quant"
	"gorgonia.org/tensor"
)

// feedProgram has pixels, an image, features and labels as inputs.
func feedProgram(t *testing.T, batch, workers int) *autograd.Program {
	t.Helper()
	g := autograd.NewGraph("feed")
	x := g.Input("x", autograd.Uint8, 2, 2, 3)
	w := g.Param("w", autograd.Weight, autograd.Ones(), 1, 2, 3, 3)
	a := autograd.ConvAttrs{}
	a.Pad = autograd.Same(3)
	pixels := autograd.Normalize("real", x, []float32{1, 1}, []float32{0, 0})
	g.SetOutput("conv", autograd.Conv2D("conv", pixels, w, nil, a))
	g.SetOutput("real", pixels)
	f := g.Input("f", autograd.Float32, 3)
	g.SetOutput("twice", autograd.Add("twice", f, f))
	y := g.Input("img", autograd.Float32, 2, 2, 3)
	g.SetOutput("codes", g.Apply("codes", quantizeOp{quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.5}}}, y))
	l := g.Input("labels", autograd.Int32)
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", f, l, 0))
	g.Initialize(1)
	pool := parallel.New(workers)
	t.Cleanup(pool.Close)
	p, err := g.Compile(autograd.CompileOptions{Batch: batch, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func counting[T uint8 | int32 | float32](n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(i + 1)
	}
	return x
}

func TestLoadIsChannelsLast(t *testing.T) {
	p := feedProgram(t, 2, 2)
	if err := p.LoadPixels("x", counting[uint8](12)); err != nil {
		t.Fatal(err)
	}
	if err := p.LoadFloats("f", []float32{1, 2, 3, 4, 5, 6}); err != nil {
		t.Fatal(err)
	}
	if err := p.LoadFloats("img", counting[float32](24)); err != nil {
		t.Fatal(err)
	}
	if err := p.LoadLabels("labels", []int32{2}); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	for name, want := range map[string]string{
		"real":   "[1 3 5 7 9 11 2 4 6 8 10 12 0 0 0 0 0 0 0 0 0 0 0 0]",
		"x":      "[1 3 5 7 9 11 2 4 6 8 10 12 0 0 0 0 0 0 0 0 0 0 0 0]",
		"twice":  "[2 4 6 8 10 12]",
		"labels": "[2 0]",
		"conv":   "[44 78 60 44 78 60 0 0 0 0 0 0]",
	} {
		d, err := p.Dense(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fmt.Sprint(d.Data()); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	q, err := p.Codes("codes")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(q.Data().([]int8)[:6], q.Shape()); got != "[2 6 10 14 18 22] (2, 2, 2, 3)" {
		t.Errorf("codes %s", got)
	}
	if x, err := p.Codes("x"); err != nil || x.Data().([]uint8)[1] != 3 {
		t.Errorf("pixels as codes: %v, %v", x, err)
	}
	if l, err := p.Codes("labels"); err != nil || l.Data().([]int32)[0] != 2 {
		t.Errorf("labels as codes: %v, %v", l, err)
	}
}

func TestFeedIsChannelsFirst(t *testing.T) {
	p := feedProgram(t, 3, 3)
	dense := func(data any, shape ...int) *tensor.Dense {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
	}
	for name, d := range map[string]*tensor.Dense{
		"x": dense(counting[uint8](24), 2, 2, 2, 3), "f": dense(counting[float32](9), 3, 3),
		"img": dense(counting[float32](12), 1, 2, 2, 3), "labels": dense([]int{2, 1}, 2),
	} {
		if err := p.Feed(name, d); err != nil {
			t.Fatal(err)
		}
		back, err := p.Dense(name)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(d.Data())
		got := fmt.Sprint(back.Data())
		if n := len(want) - 1; got[:n] != want[:n] || back.Shape()[0] != 3 {
			t.Errorf("%s: got %s %v, want it to begin with %s", name, got, back.Shape(), want)
		}
	}
	if err := p.Feed("labels", dense([]int32{1, 2, 0}, 3)); err != nil {
		t.Error(err)
	}
	// Fewer samples clear those of the batch before.
	if err := p.Feed("f", dense([]float32{7, 8, 9}, 1, 3)); err != nil {
		t.Fatal(err)
	}
	if f, _ := p.Dense("f"); fmt.Sprint(f.Data()) != "[7 8 9 0 0 0 0 0 0]" {
		t.Errorf("got %v after a shorter batch", f.Data())
	}
}

func TestFeedRefuses(t *testing.T) {
	p := feedProgram(t, 2, 1)
	dense := func(data any, shape ...int) *tensor.Dense {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
	}
	transposed := dense(counting[float32](6), 3, 2)
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"unknown input":      p.LoadPixels("nothing", make([]uint8, 12)),
		"output as input":    p.LoadFloats("twice", make([]float32, 6)),
		"parameter as input": p.LoadFloats("w", make([]float32, 18)),
		"type":               p.LoadFloats("x", make([]float32, 12)),
		"part of a sample":   p.LoadPixels("x", make([]uint8, 13)),
		"nothing":            p.LoadPixels("x", nil),
		"too many samples":   p.LoadPixels("x", make([]uint8, 36)),
		"too many labels":    p.LoadLabels("labels", make([]int32, 3)),
		"labels as pixels":   p.LoadPixels("labels", make([]uint8, 2)),
		"nil tensor":         p.Feed("x", nil),
		"unknown fed":        p.Feed("nothing", dense(make([]float32, 6), 2, 3)),
		"float64":            p.Feed("f", dense(make([]float64, 6), 2, 3)),
		"shape":              p.Feed("f", dense(make([]float32, 6), 6)),
		"extents":            p.Feed("img", dense(make([]float32, 12), 1, 3, 2, 2)),
		"batch":              p.Feed("f", dense(make([]float32, 9), 3, 3)),
		"tensor type":        p.Feed("f", dense(make([]uint8, 6), 2, 3)),
		"transposed":         p.Feed("f", transposed),
		"unknown output":     second(p.Dense("nothing")),
		"unknown codes":      second(p.Codes("nothing")),
	} {
		if !errors.Is(err, autograd.ErrInput) {
			t.Errorf("%s: got error %v, want ErrInput", what, err)
		}
	}
}

func TestFeedRefusesLabelsBeyondInt32(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("int is int32")
	}
	p := feedProgram(t, 2, 1)
	labels := tensor.New(tensor.WithShape(2), tensor.WithBacking([]int{0, math.MaxInt}))
	if err := p.Feed("labels", labels); !errors.Is(err, autograd.ErrInput) {
		t.Errorf("got error %v, want ErrInput", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestDenseOfForgottenNode(t *testing.T) {
	g := autograd.NewGraph("two")
	x := g.Input("x", autograd.Float32, 3)
	h := autograd.Tanh("h", x)
	g.SetOutput("y", autograd.Sigmoid("s", h))
	p, err := g.Compile(autograd.CompileOptions{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Dense("h"); !errors.Is(err, autograd.ErrInput) {
		t.Errorf("got error %v, want ErrInput", err)
	}
	p, err = g.Compile(autograd.CompileOptions{Batch: 1, Wanted: []string{"h"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.LoadFloats("x", []float32{0, 1, 20}); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	if h, err := p.Dense("h"); err != nil || fmt.Sprint(h.Data()) != "[0 0.7615942 1]" {
		t.Errorf("got %v, %v", h, err)
	}
}

func TestLoadAllocatesNothing(t *testing.T) {
	p := feedProgram(t, 4, 2)
	x, f, l := make([]uint8, 36), make([]float32, 12), make([]int32, 4)
	n := testing.AllocsPerRun(10, func() {
		if p.LoadPixels("x", x) != nil || p.LoadFloats("f", f) != nil || p.LoadLabels("labels", l) != nil {
			t.Error("the data was refused")
		}
	})
	if n != 0 {
		t.Errorf("loading allocates %v times", n)
	}
}
