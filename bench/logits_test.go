package main

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/measure"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/train"
	"gorgonia.org/tensor"
)

// reference is what peers/logits.py computes with PyTorch.
type reference struct {
	MadeBy string `json:"made_by"`
	Torch  string `json:"torch"`
	Batch  int    `json:"batch"`
	Nets   map[string]struct {
		Evaluate [][]float64 `json:"evaluate"`
		Train    [][]float64 `json:"train"`
		Loss     float64     `json:"loss"`
		Gradient float64     `json:"gradient"`
	} `json:"nets"`
}

const tolerance = 1e-4

// TestLogits holds the networks to those of PyTorch: the same weights and samples give
// the same logits, the same loss and a gradient of the same length.
func TestLogits(t *testing.T) {
	text, err := os.ReadFile("testdata/logits.json")
	if err != nil {
		t.Fatal(err)
	}
	compareLogits(t, text)
}

// TestLogitsAgainstPyTorch computes the other side anew.
func TestLogitsAgainstPyTorch(t *testing.T) {
	python := os.Getenv("BITGRAD_PYTHON")
	if python == "" {
		t.Skip("BITGRAD_PYTHON names no Python with torch and numpy")
	}
	c := exec.CommandContext(t.Context(), python, "peers/logits.py")
	c.Stderr = os.Stderr
	text, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	compareLogits(t, text)
}

func compareLogits(t *testing.T, text []byte) {
	var want reference
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Nets) != len(nets) {
		t.Errorf("%d networks, want %d", len(want.Nets), len(nets))
	}
	for _, n := range nets {
		t.Run(n.name, func(t *testing.T) {
			w := want.Nets[n.name]
			evaluated, _ := compute(t, n.layers, autograd.Evaluate, want.Batch)
			near(t, "logits, evaluated", evaluated, w.Evaluate)
			trained, p := compute(t, n.layers, autograd.Train, want.Batch)
			near(t, "logits, trained", trained, w.Train)
			if got := float64(p.Loss()); math.Abs(got-w.Loss) > tolerance {
				t.Errorf("loss %v, want %v", got, w.Loss)
			}
			p.Backward()
			sum := 0.0
			for _, q := range p.Params() {
				for _, g := range q.Grad {
					sum += float64(g) * float64(g)
				}
			}
			if got := math.Sqrt(sum); math.Abs(got-w.Gradient) > tolerance*w.Gradient {
				t.Errorf("gradient of length %v, want %v", got, w.Gradient)
			}
		})
	}
}

// compute runs a network of package layers on the samples of the formula.
func compute(t *testing.T, name string, mode autograd.Mode, batch int) ([]float32, *autograd.Program) {
	t.Helper()
	build, err := layers.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	net := build(layers.WithFloatInput())
	measure.Fill(net.Graph)
	g := net.Graph
	if mode.Training() {
		if g, err = train.WithLoss(g, 0); err != nil {
			t.Fatal(err)
		}
	}
	p, err := g.Compile(autograd.CompileOptions{Mode: mode, Batch: batch})
	if err != nil {
		t.Fatal(err)
	}
	in := net.Input
	x := tensor.New(tensor.WithShape(batch, in.C, in.H, in.W), tensor.WithBacking(measure.Samples(batch, in.C*in.H*in.W)))
	if err := p.Feed("input", x); err != nil {
		t.Fatal(err)
	}
	if mode.Training() {
		if err := p.LoadLabels("labels", measure.Labels(batch, net.Classes)); err != nil {
			t.Fatal(err)
		}
	}
	p.Forward()
	logits, err := p.Dense("logits")
	if err != nil {
		t.Fatal(err)
	}
	return logits.Data().([]float32), p
}

func near(t *testing.T, what string, got []float32, want [][]float64) {
	t.Helper()
	k := 0
	for i, row := range want {
		for j, w := range row {
			if g := float64(got[k]); !(math.Abs(g-w) <= tolerance*max(1, math.Abs(w))) {
				t.Errorf("%s: image %d, class %d: %v, want %v", what, i, j, g, w)
			}
			k++
		}
	}
	if k != len(got) {
		t.Errorf("%s: %d, want %d", what, len(got), k)
	}
}

// TestLogitsAgainstGorgonia holds the other network in Go to the same numbers.
func TestLogitsAgainstGorgonia(t *testing.T) {
	const batch = 3
	net, err := newGorgoniaLeNet(batch)
	if err != nil {
		t.Fatal(err)
	}
	defer net.machine.Close()
	if err := net.step(); err != nil {
		t.Fatal(err)
	}
	want, _ := compute(t, "lenet", autograd.Evaluate, batch)
	got := net.logits.Data().([]float32)
	if len(got) != len(want) {
		t.Fatalf("%d logits, want %d", len(got), len(want))
	}
	for i, g := range got {
		if w := float64(want[i]); !(math.Abs(float64(g)-w) <= tolerance*max(1, math.Abs(w))) {
			t.Errorf("logit %d: %v, want %v", i, g, w)
		}
	}
}
