package layers

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
)

// facts are what is known of a network from its description. The numbers of
// scalars and multiply-accumulates of the first block come from the
// descriptions themselves: Caffe's logs, He et al., MLPerf Tiny.
type facts struct {
	scalars, statistics int
	macs                int64
	input               string
	layers              []string // some nodes and their shapes
}

func kernelSize(out, in, k, positions int) (scalars int, macs int64) {
	return out * in * k * k, int64(out) * int64(in*k*k*positions)
}

// residual counts a ResNet of three stages by hand.
func residual(blocks int, shortcuts bool) (scalars, statistics int, macs int64) {
	add := func(out, in, k, positions int) {
		s, m := kernelSize(out, in, k, positions)
		scalars += s + 2*out
		statistics += 2 * out
		macs += m
	}
	add(16, 3, 3, 32*32)
	in := 16
	for s, width := range []int{16, 32, 64} {
		positions := 32 * 32 >> (2 * s)
		for range blocks {
			add(width, in, 3, positions)
			add(width, width, 3, positions)
			if shortcuts && in != width {
				add(width, in, 1, positions)
			}
			in = width
		}
	}
	return scalars + 650, statistics, macs + 640
}

func mobile() (scalars, statistics int, macs int64) {
	add := func(out, in, k, positions int) {
		s, m := kernelSize(out, in, k, positions)
		scalars += s + 2*out
		statistics += 2 * out
		macs += m
	}
	add(32, 3, 3, 32*32)
	c, side := 32, 32
	for _, b := range [][2]int{{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2}, {512, 1}} {
		side /= b[1]
		add(c, 1, 3, side*side)
		add(b[0], c, 1, side*side)
		c = b[0]
	}
	return scalars + 5130, statistics, macs + 5120
}

func known() map[string]facts {
	f := map[string]facts{
		"lenet": {431080, 0, 2293000, "[N 1 28 28] uint8", []string{
			"conv1 [N 20 24 24]", "pool1 [N 20 12 12]", "conv2 [N 50 8 8]", "pool2 [N 50 4 4]", "fc1.flatten [N 800]", "fc1 [N 500]", "fc2 [N 10]"}},
		"cifar10full": {89578, 0, 12298240, "[N 3 32 32] uint8", []string{
			"pool1 [N 32 16 16]", "norm1 [N 32 16 16]", "pool2 [N 32 8 8]", "norm2 [N 32 8 8]", "pool3 [N 64 4 4]", "fc [N 10]"}},
		"resnet8": {78666 - 480, 480, 12501632, "[N 3 32 32] uint8", []string{
			"stage2.block0.conv1 [N 32 16 16]", "stage3.block0.shortcut [N 64 8 8]", "pool [N 64 1 1]"}},
		"resnet20": {269722, 1376, 40551040, "[N 3 32 32] uint8", []string{
			"stage1.block2.relu2 [N 16 32 32]", "stage2.block0.shortcut.slice [N 16 16 16]", "stage2.block0.shortcut [N 32 16 16]", "stage3.block2.add [N 64 8 8]"}},
	}
	f["cifar10full-plain"] = facts{89578, 0, 12298240, "[N 3 32 32] uint8", []string{"relu2 [N 32 16 16]", "pool3 [N 64 4 4]"}}
	for name, blocks := range map[string]int{"resnet8conv": 1, "resnet20conv": 3} {
		s, st, m := residual(blocks, true)
		f[name] = facts{s, st, m, "[N 3 32 32] uint8", []string{"stage2.block0.shortcut [N 32 16 16]", "stage3.block0.shortcut.bn [N 64 8 8]"}}
	}
	s, st, m := mobile()
	f["mobilenet"] = facts{s, st, m, "[N 3 32 32] uint8", []string{"block1.dw [N 64 16 16]", "block6.pw.bn [N 512 4 4]"}}
	f["mlp"] = facts{784*256 + 256 + 256*128 + 128 + 1290, 0, 784*256 + 256*128 + 1280, "[N 1 28 28] uint8", []string{"fc1 [N 256]", "fc3 [N 10]"}}
	f["smallconvnet"] = facts{8*9 + 16 + 16*72 + 32 + 7850, 48, 8*9*784 + 16*72*196 + 7840, "[N 1 28 28] uint8", []string{"pool1 [N 8 14 14]", "pool2 [N 16 7 7]"}}
	return f
}

// thousands writes n with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// The table of docs/conventions.md and the comments of the functions state what
// is so.
func TestDocumentedCounts(t *testing.T) {
	page, err := os.ReadFile("../docs/conventions.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("net_*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d sources: %v", len(files), err)
	}
	comments := ""
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		comments += strings.ReplaceAll(string(source), "\n// ", " ")
	}
	for _, e := range Nets() {
		net := e.New()
		statistics := 0
		for _, s := range net.Graph.States() {
			statistics += len(s.Value)
		}
		scalars, macs := thousands(int64(net.Count())), thousands(net.MACs())
		if row := fmt.Sprintf("| %s | %s | %s |", scalars, thousands(int64(statistics)), macs); !strings.Contains(firstRow(string(page), e.Name), row) {
			t.Errorf("the row of %s lacks %q", e.Name, row)
		}
		if e.Name == "cifar10full-plain" {
			continue // its comment refers to the one of cifar10full
		}
		for _, want := range []string{scalars + " trained scalars", macs + " multiply-accumulates"} {
			if !strings.Contains(comments, want) {
				t.Errorf("no comment says of %s that it has %s", e.Name, want)
			}
		}
	}
}

// firstRow returns the first row of a table on the page that begins with the name.
func firstRow(page, name string) string {
	_, row, _ := strings.Cut(page, "\n| `"+name+"` |")
	row, _, _ = strings.Cut(row, "\n")
	return row
}

func TestNets(t *testing.T) {
	known := known()
	if len(known) != len(Nets()) {
		t.Fatalf("facts for %d networks, there are %d", len(known), len(Nets()))
	}
	for _, e := range Nets() {
		t.Run(e.Name, func(t *testing.T) {
			net, want := e.New(), known[e.Name]
			if err := net.Graph.Err(); err != nil {
				t.Fatal(err)
			}
			if net.Name != e.Name || net.Graph.Name() != e.Name || net.Classes != 10 {
				t.Errorf("name %q, graph %q, %d classes", net.Name, net.Graph.Name(), net.Classes)
			}
			if got := net.Count(); got != want.scalars {
				t.Errorf("%d trained scalars, want %d", got, want.scalars)
			}
			if got := net.MACs(); got != want.macs {
				t.Errorf("%d multiply-accumulates, want %d", got, want.macs)
			}
			statistics := 0
			for _, s := range net.Graph.States() {
				statistics += len(s.Value)
			}
			if statistics != want.statistics {
				t.Errorf("%d statistics, want %d", statistics, want.statistics)
			}
			if got := net.Graph.Node("input").Type().String(); got != want.input {
				t.Errorf("input %s, want %s", got, want.input)
			}
			if got := net.Graph.Output("logits").Type().String(); got != "[N 10]" {
				t.Errorf("logits %s", got)
			}
			for _, l := range want.layers {
				name, shape, _ := strings.Cut(l, " ")
				n := net.Graph.Node(name)
				if n == nil {
					t.Errorf("there is no node %s", name)
				} else if got := n.Type().String(); got != shape {
					t.Errorf("%s is %s, want %s", name, got, shape)
				}
			}
		})
	}
}

func TestInitialValues(t *testing.T) {
	for _, e := range Nets() {
		a, b, other := e.New(), e.New(WithName("other")), e.New()
		b.Graph.Initialize(0)
		other.Graph.Initialize(1)
		for i, p := range a.Graph.Params() {
			q, r := b.Graph.Params()[i], other.Graph.Params()[i]
			if !slices.Equal(p.Value, q.Value) {
				t.Errorf("%s: %s differs between two networks of one seed", e.Name, p.Name)
			}
			if drawn := p.Role == autograd.Weight; drawn == slices.Equal(p.Value, r.Value) {
				t.Errorf("%s: %s of seeds 0 and 1: equal %v", e.Name, p.Name, !drawn)
			}
			want := map[autograd.Role]float32{autograd.Bias: 0, autograd.Beta: 0, autograd.Gamma: 1}
			if w, ok := want[p.Role]; ok && (slices.Min(p.Value) != w || slices.Max(p.Value) != w) {
				t.Errorf("%s: %s begins at %v to %v, want %v", e.Name, p.Name, slices.Min(p.Value), slices.Max(p.Value), w)
			}
		}
	}
}

// Caffe's xavier filler draws from ±√(3/fan-in).
func TestLeNetFiller(t *testing.T) {
	p := LeNet().Graph.Node("fc1.weight").Param()
	limit := math.Sqrt(3.0 / 800)
	sum := 0.0
	for _, v := range p.Value {
		if math.Abs(float64(v)) > limit {
			t.Fatalf("%v is beyond %v", v, limit)
		}
		sum += float64(v) * float64(v)
	}
	if got, want := math.Sqrt(sum/float64(len(p.Value))), math.Sqrt(1.0/800); math.Abs(got/want-1) > 0.01 {
		t.Errorf("deviation %v, want %v", got, want)
	}
}

// A state dict of PyTorch loads by these names.
func TestNames(t *testing.T) {
	net := ResNet8Conv()
	var got []string
	for _, p := range net.Graph.Params()[:6] {
		got = append(got, fmt.Sprint(p.Name, p.Shape, p.Role))
	}
	for _, s := range net.Graph.States()[:2] {
		got = append(got, s.Name)
	}
	want := []string{
		"conv1.weight[16 3 3 3] weight", "conv1.bn.weight[16] gamma", "conv1.bn.bias[16] beta",
		"stage1.block0.conv1.weight[16 16 3 3] weight", "stage1.block0.conv1.bn.weight[16] gamma", "stage1.block0.conv1.bn.bias[16] beta",
		"conv1.bn.running_mean", "conv1.bn.running_var",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestOptions(t *testing.T) {
	net := LeNet(WithInput(Input{C: 3, H: 32, W: 32}), WithClasses(7), WithName("mine"), WithNormalization([]float32{1, 2, 3}, []float32{4}), nil)
	if err := net.Graph.Err(); err != nil {
		t.Fatal(err)
	}
	if got := net.Graph.Output("logits").Type().String(); got != "[N 7]" || net.Classes != 7 || net.Name != "mine" {
		t.Errorf("%s: %s, %d classes", net.Name, got, net.Classes)
	}
	if got := net.Graph.Node("fc1.weight").Type().String(); got != "[500 1250]" {
		t.Errorf("fc1.weight is %s", got)
	}
	if net.Input.Mean[2] != 3 || net.Input.Std[0] != 4 {
		t.Errorf("input %+v", net.Input)
	}
	float := LeNet(WithFloatInput())
	if got := float.Graph.Node("input").Type().String(); got != "[N 1 28 28]" || float.Graph.Node("normalize") != nil {
		t.Errorf("float input is %s", got)
	}
}

func TestNormalization(t *testing.T) {
	a, b := Input{C: 2, H: 1, W: 1, Mean: []float32{0, 30}, Std: []float32{2}}.affine()
	if !slices.Equal(a, []float32{0.5, 0.5}) || !slices.Equal(b, []float32{0, -15}) {
		t.Errorf("got %v and %v", a, b)
	}
	a, b = Input{C: 1, H: 1, W: 1}.affine()
	if a[0] != float32(1.0/255) || b[0] != 0 {
		t.Errorf("got %v and %v", a, b)
	}
}

func TestDepthwise(t *testing.T) {
	b := New("net", Input{C: 6, H: 8, W: 8, Float: true})
	x := b.Depthwise("dw", b.X, 3, Same(), Stride(2))
	if got := x.Type().String(); got != "[N 6 4 4]" {
		t.Errorf("got %s", got)
	}
	if got := b.Graph.Node("dw.weight").Type().String(); got != "[6 1 3 3]" {
		t.Errorf("the weight is %s", got)
	}
	if op := x.Op().(autograd.Conv2DOp); op.Groups != 6 || op.Pad != (autograd.Border{Bottom: 1, Right: 1}) {
		t.Errorf("attributes %+v", op)
	}
}

func TestConvOptions(t *testing.T) {
	b := New("net", Input{C: 4, H: 9, W: 9, Float: true})
	x := b.Conv("a", b.X, 6, 3, Kernel(1, 3), Pads(0, 1, 0, 1), Dilation(1), Groups(2), NoBias(), Init(autograd.Ones()))
	if got := x.Type().String(); got != "[N 6 9 9]" {
		t.Errorf("got %s", got)
	}
	if w := b.Graph.Node("a.weight"); w.Type().String() != "[6 2 1 3]" || b.Graph.Node("a.bias") != nil {
		t.Errorf("the weight is %s, the bias %v", w.Type(), b.Graph.Node("a.bias"))
	}
	y := b.Linear("fc", x, 3, LinearNoBias())
	if got := b.Graph.Node("fc.weight").Type().String(); got != "[3 486]" || b.Graph.Node("fc.bias") != nil || y.Type().String() != "[N 3]" {
		t.Errorf("the weight is %s", got)
	}
}

// A mistake names the layer, the operation, the shapes and the reason.
func TestMistakes(t *testing.T) {
	input := Input{C: 16, H: 32, W: 32, Float: true}
	tests := []struct {
		name  string
		build func() *Net
		kind  error
		want  string
	}{
		{"channels", func() *Net {
			b := New("net", input)
			w := b.Graph.Param("stage1.block0.conv1.weight", autograd.Weight, nil, 32, 8, 3, 3)
			x := autograd.Conv2D("stage1.block0.conv1", b.X, w, nil, autograd.ConvAttrs{})
			return b.Classifier(b.Linear("fc", b.ReLU("relu", x), 10))
		}, autograd.ErrShape, "stage1.block0.conv1: conv2d [N 16 32 32] × [32 8 3 3]: 16 input channels, weight has 8"},
		{"kernel", func() *Net {
			b := New("net", input)
			return b.Classifier(b.Linear("fc", b.ReLU("relu", b.ConvBN("conv1", b.X, 4, 33)), 10))
		}, autograd.ErrShape, "conv1: conv2d [N 16 32 32] × [4 16 33 33]: rows: the kernel covers 33, the padded input has 32"},
		{"groups", func() *Net {
			b := New("net", input)
			return b.Classifier(b.Conv("conv1", b.X, 4, 3, Groups(3)))
		}, ErrNet, "layers: invalid network: net: conv1: 16 channels do not divide into 3 groups"},
		{"outputs", func() *Net {
			b := New("net", input)
			return b.Classifier(b.Linear("fc", b.X, 0))
		}, autograd.ErrShape, `autograd: shapes do not fit: parameter "fc.weight": shape [0 16384]: extents must be positive and the product below 2^30`},
		{"name", func() *Net {
			b := New("net", input)
			return b.Classifier(b.Linear("conv1", b.Conv("conv1", b.X, 4, 3), 10))
		}, autograd.ErrGraph, `autograd: invalid graph: two nodes are named "conv1.weight"`},
		{"nil", func() *Net {
			b := New("net", input)
			return b.Classifier(b.Linear("fc", b.Add("add", b.X, nil), 10))
		}, ErrNet, "layers: invalid network: net: add: the operand is nil"},
		{"no logits", func() *Net { return New("net", input).Classifier(nil) }, autograd.ErrGraph, `autograd: invalid graph: output "logits": the node is not of this graph`},
		{"image as logits", func() *Net {
			b := New("net", input)
			return b.Classifier(b.X)
		}, ErrNet, "layers: invalid network: net: logits [N 16 32 32]: must be [N Classes]"},
		{"extent", func() *Net { return LeNet(WithInput(Input{C: 1, H: -1, W: 28})) }, ErrInput, "lenet: layers: invalid input: [1 -1 28]: every extent must be positive"},
		{"mean", func() *Net { return ResNet20(WithNormalization([]float32{1, 2}, nil)) }, ErrInput,
			"resnet20: layers: invalid input: mean has 2 entries: must be one for all or one for each of 3 channels"},
		{"deviation", func() *Net { return ResNet20(WithNormalization(nil, []float32{0})) }, ErrInput, "resnet20: layers: invalid input: std of channel 0 is 0"},
		{"not a number", func() *Net { return MLP(WithNormalization([]float32{float32(math.NaN())}, nil)) }, ErrInput, "mlp: layers: invalid input: mean of channel 0 is NaN"},
		{"too small", func() *Net { return LeNet(WithInput(Input{C: 1, H: 7, W: 7})) }, autograd.ErrShape,
			"conv2: conv2d [N 20 1 1] × [50 20 5 5] × [50]: rows: the kernel covers 5, the padded input has 1"},
		{"blocks", func() *Net { return ResNet(0, PadShortcut) }, ErrNet, "layers: invalid network: resnet2: 0 blocks per stage: must be 1 to 200"},
		{"shortcut", func() *Net { return ResNet(1, 9) }, ErrNet, "layers: invalid network: resnet8: shortcut 9: unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			net := tt.build()
			_, err := net.Graph.Compile(autograd.CompileOptions{Batch: 1})
			if !errors.Is(err, tt.kind) || fmt.Sprint(err) != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// Every network survives any mistake in what it is built for.
func TestNetsSurviveMistakes(t *testing.T) {
	for _, e := range Nets() {
		for _, o := range []Option{WithInput(Input{}), WithInput(Input{C: 1, H: 1, W: 1, Mean: make([]float32, 5)}), WithClasses(-3)} {
			net := e.New(o)
			if net.Graph.Err() == nil {
				t.Errorf("%s has no error", e.Name)
			}
			if _, err := net.Graph.Compile(autograd.CompileOptions{Batch: 1}); err == nil {
				t.Errorf("%s compiles", e.Name)
			}
		}
	}
}

func TestByName(t *testing.T) {
	for _, name := range Names() {
		f, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := f().Name; got != name {
			t.Errorf("%s builds %s", name, got)
		}
	}
	_, err := ByName("lent")
	if want := `layers: invalid network: no network is named "lent"; nearest: "lenet"`; !errors.Is(err, ErrNet) || fmt.Sprint(err) != want {
		t.Errorf("got %v", err)
	}
	_, err = ByName("transformer-xl")
	if !strings.Contains(fmt.Sprint(err), "; there are mlp, smallconvnet, lenet, ") {
		t.Errorf("got %v", err)
	}
}
