package integer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// tiny is a network of one convolution and one linear layer, in dynamic fixed point.
func tiny() (*integer.Model, *integer.Proof, error) {
	pixel := quant.Grid{BitWidth: 8, Scale: []float32{1. / 256}}                 // uint8 2^-8
	weight := quant.Grid{BitWidth: 2, Signed: true, Scale: []float32{0.5}}       // int2 2^-1
	activation := quant.Grid{BitWidth: 4, Scale: []float32{quant.PowerOfTwo(3)}} // uint4 2^-3
	requant, err := quant.NewRequantizer(quant.Shift, quant.AccScale(pixel, weight), activation)
	if err != nil {
		return nil, nil, err
	}
	b := integer.NewBuilder("tiny")
	x := b.Input("input", integer.Input{C: 1, H: 2, W: 2, A: []float32{1. / 255}, B: []float32{0}, Grid: pixel})
	x = b.Conv("conv", x, integer.Conv{
		O: 2, KH: 2, KW: 2, Weight: []int32{1, 1, -1, -1, 1, -1, 1, -1}, WeightGrid: weight,
		Bias: []int64{64, -64}, Requant: &requant, Grid: activation,
	})
	x = b.Linear("fc", b.Flatten("flat", x), integer.Linear{O: 2, Weight: []int32{1, 0, -1, 1}, WeightGrid: weight})
	return b.Build(x)
}

// Building a model proves how large its sums can become.
func Example() {
	m, proof, err := tiny()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(proof)
	logits, err := m.Run([]uint8{250, 240, 10, 20, 90, 10, 80, 20})
	fmt.Println(logits, err)
	classes, err := m.Classify([]uint8{250, 240, 10, 20, 90, 10, 80, 20})
	fmt.Println(classes, err)
	// Output:
	// node  worst sum  channel  headroom  accumulator
	// conv  1116       0        13 bits   float32
	// fc    30         1        19 bits   float32
	// [8 -8 1 0] <nil>
	// [0 0] <nil>
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "bitgrad")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.safetensors")
	m, _, err := tiny()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Save(path); err != nil {
		fmt.Println(err)
		return
	}
	m, err = integer.Load(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range m.Nodes {
		fmt.Println(n.Name, n.Op.Kind(), n.Out, n.Grid)
	}
	// Output:
	// input input uint8 [1 2 2] uint8 2^-8
	// conv conv uint4 [2 1 1] uint4 2^-3
	// flat reshape uint4 [2 1 1] uint4 2^-3
	// fc linear int32 [2 1 1] int32 2^-4
}

// Interpret shows the codes of every node of one image.
func ExampleInterpret() {
	m, _, err := tiny()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = integer.Interpret(m, []uint8{250, 240, 10, 20}, func(node int, codes []int64) {
		fmt.Println(m.Nodes[node].Name, codes)
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// input [251 241 10 20]
	// conv [8 0]
	// flat [8 0]
	// fc [8 -8]
}

// The builder keeps the first mistake and names the node.
func ExampleBuilder() {
	b := integer.NewBuilder("wrong")
	g := quant.Grid{BitWidth: 8, Scale: []float32{1}}
	x := b.Input("input", integer.Input{C: 3, H: 8, W: 8, A: []float32{1, 1, 1}, B: []float32{0, 0, 0}, Grid: g})
	x = b.Linear("fc", x, integer.Linear{O: 10})
	_, _, err := b.Build(x)
	fmt.Println(err)
	// Output:
	// integer: fc (linear): operand input is [3 8 8]: flatten it first
}

func ExamplePackCodes() {
	fmt.Printf("%x\n", integer.PackCodes([]int32{1, -1, 3}, 4))
	fmt.Println(integer.UnpackCodes([]byte{0xf1, 0x03}, 3, 4, true))
	// Output:
	// f103
	// [1 -1 3] <nil>
}

// The lines of the package comment, with a file beside the program.
func TestRunAsDocumented(t *testing.T) {
	t.Chdir(t.TempDir())
	m, _, err := tiny()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Save("model.safetensors"); err != nil {
		t.Fatal(err)
	}
	run := func(images []uint8) error {
		m, err := integer.Load("model.safetensors")
		if err != nil {
			return err
		}
		logits, err := m.Run(images) // uint8, [N H W C]; logits are [N O]
		if len(logits) != 4 {
			t.Errorf("%d logits for two images of two classes", len(logits))
		}
		return err
	}
	if err := run(make([]uint8, 8)); err != nil {
		t.Error(err)
	}
}

// The calls of the comment of Builder.
func TestBuildAsDocumented(t *testing.T) {
	g := quant.Grid{BitWidth: 8, Scale: []float32{1.0 / 256}}
	a, o := []float32{1.0 / 255}, []float32{0}
	wg, yg, vg := quant.Grid{BitWidth: 2, Signed: true, Scale: []float32{0.5}}, g, g
	w, v := make([]int32, 8*5*5), make([]int32, 10*8*24*24)
	requant, err := quant.NewRequantizer(quant.Shift, quant.AccScale(g, wg), yg)
	if err != nil {
		t.Fatal(err)
	}
	r := &requant

	b := integer.NewBuilder("net")
	x := b.Input("input", integer.Input{C: 1, H: 28, W: 28, A: a, B: o, Grid: g})
	x = b.Conv("conv1", x, integer.Conv{O: 8, KH: 5, KW: 5, Weight: w, WeightGrid: wg, Requant: r, Grid: yg})
	x = b.Linear("fc", b.Flatten("flat", x), integer.Linear{O: 10, Weight: v, WeightGrid: vg})
	m, proof, err := b.Build(x)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Nodes) != 4 || len(proof.Nodes) != 4 {
		t.Errorf("%d nodes, %d bounds", len(m.Nodes), len(proof.Nodes))
	}
}
