package autograd_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

var update = flag.Bool("update", false, "write the golden files")

// smallNet is a network with a residual, a tag and codes.
func smallNet(t *testing.T) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("small")
	x := autograd.Normalize("real", g.Input("x", autograd.Uint8, 3, 4, 4), []float32{1, 1, 1}, []float32{0, 0, 0})
	w := g.Param("conv.weight", autograd.Weight, autograd.HeNormal(), 8, 3, 3, 3)
	b := g.Param("conv.bias", autograd.Bias, autograd.Zeros(), 8)
	var a autograd.ConvAttrs
	a.Pad = autograd.Same(3)
	h := autograd.ReLU("relu", autograd.Conv2D("conv", x, w, b, a))
	h = g.Apply("codes", quantizeOp{quant.Grid{BitWidth: 8, Scale: []float32{0.01}}}, h)
	sum := autograd.Add("sum", autograd.ReLU6("relu6", h), h)
	fc := g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 10, 128)
	logits := autograd.Linear("fc", autograd.Flatten("flat", sum), fc, nil)
	g.SetOutput("logits", logits)
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", logits, g.Input("labels", autograd.Int32), 0.1))
	g.Initialize(1)
	tagged, err := g.Rewrite(func(e *autograd.Edit) error {
		e.Tag(e.Node("conv"), "width", "8")
		e.Tag(e.Node("conv"), "block", "stem")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tagged
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; with -update it becomes\n%s", path, got)
	}
}

func TestDump(t *testing.T) {
	var b strings.Builder
	if err := smallNet(t).Dump(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "dump.txt", b.String())
}

func TestPlan(t *testing.T) {
	p, err := smallNet(t).Compile(autograd.CompileOptions{Batch: 2, Mode: autograd.Train})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := p.Plan(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.txt", b.String())
	if planned, without := p.Bytes(); planned >= without {
		t.Errorf("the plan needs %d bytes, %d without reuse", planned, without)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestDumpReportsWriteErrors(t *testing.T) {
	g := smallNet(t)
	p, err := g.Compile(autograd.CompileOptions{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	broken := brokenWriter{errors.New("disk full")}
	if err := g.Dump(broken); !errors.Is(err, broken.err) {
		t.Errorf("dump: got error %v", err)
	}
	if err := p.Plan(broken); !errors.Is(err, broken.err) {
		t.Errorf("plan: got error %v", err)
	}
}
