package netfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/layers"
)

// lenet is layers.LeNet, resnet the first blocks of layers.ResNet8: every node of the same
// name.
const lenet = `
name: lenet
input: {shape: [1, 28, 28], std: [256]}
layers:
  - {conv: conv1, out: 20, kernel: 5, init: xavier}
  - {max_pool: pool1, kernel: 2, stride: 2}
  - {conv: conv2, out: 50, kernel: 5, init: xavier}
  - {max_pool: pool2, kernel: 2}
  - {linear: fc1, out: 500, init: xavier}
  - {relu: relu1}
  - {linear: fc2, out: classes, init: xavier}
`

const resnet8 = `
name: resnet8
input: {shape: [3, 32, 32], std: [1]}
layers:
  - {conv: conv1, out: 16, kernel: 3, pad: same, bias: true, bn: keras}
  - {relu: relu1}
  - {conv: stage1.block0.conv1, out: 16, kernel: 3, pad: same, stride: 1, bias: true, bn: keras}
  - {relu: stage1.block0.relu1}
  - {conv: stage1.block0.conv2, out: 16, kernel: 3, pad: same, stride: 1, bias: true, bn: keras}
  - {add: stage1.block0.add, from: [stage1.block0.conv2, relu1]}
  - {relu: stage1.block0.relu2}
  - {conv: stage2.block0.conv1, out: 32, kernel: 3, pad: same, stride: 2, bias: true, bn: keras}
  - {relu: stage2.block0.relu1}
  - {conv: stage2.block0.conv2, out: 32, kernel: 3, pad: same, stride: 1, bias: true, bn: keras}
  - {conv: stage2.block0.shortcut, from: stage1.block0.relu2, out: 32, kernel: 1, pad: same, stride: 2}
  - {add: stage2.block0.add, from: [stage2.block0.conv2, stage2.block0.shortcut]}
  - {relu: stage2.block0.relu2}
  - {conv: stage3.block0.conv1, out: 64, kernel: 3, pad: same, stride: 2, bias: true, bn: keras}
  - {relu: stage3.block0.relu1}
  - {conv: stage3.block0.conv2, out: 64, kernel: 3, pad: same, stride: 1, bias: true, bn: keras}
  - {conv: stage3.block0.shortcut, from: stage2.block0.relu2, out: 64, kernel: 1, pad: same, stride: 2}
  - {add: stage3.block0.add, from: [stage3.block0.conv2, stage3.block0.shortcut]}
  - {relu: stage3.block0.relu2}
  - {global_average_pool: pool}
  - {linear: fc, out: classes}
`

const caffe = `
name: cifar10full
input: {shape: [3, 32, 32], mean: [125.307, 122.950, 113.865], std: 1}
layers:
  - {conv: conv1, out: 32, kernel: 5, pad: 2, init: normal=0.0001}
  - {max_pool: pool1, kernel: 3, stride: 2, size: caffe}
  - {relu: relu1}
  - {lrn: norm1, size: 3, alpha: 5e-5, beta: 0.75, within_channel: true}
  - {conv: conv2, out: 32, kernel: 5, pad: 2, init: normal=0.01}
  - {relu: relu2}
  - {average_pool: pool2, kernel: 3, stride: 2, size: caffe}
  - {lrn: norm2, size: 3, alpha: 5e-5, beta: 0.75, within_channel: true}
  - {conv: conv3, out: 64, kernel: 5, pad: 2, init: normal=0.01}
  - {relu: relu3}
  - {average_pool: pool3, kernel: 3, stride: 2, size: caffe}
  - {linear: fc, out: classes, init: normal=0.01}
`

func parsed(t *testing.T, text string) *Description {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// dump is all that a graph says of itself and its parameters.
func dump(t *testing.T, n *layers.Net) string {
	t.Helper()
	var b bytes.Buffer
	if err := n.Graph.Dump(&b); err != nil {
		t.Fatal(err)
	}
	if err := n.Graph.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReferenceNetworksFromDescriptions(t *testing.T) {
	for text, build := range map[string]func(...layers.Option) *layers.Net{lenet: layers.LeNet, resnet8: layers.ResNet8, caffe: layers.CIFAR10Full} {
		d := parsed(t, text)
		for _, opts := range [][]layers.Option{nil, {layers.WithClasses(7), layers.WithName("x")}} {
			got, want := d.Build(opts...), build(opts...)
			if a, b := dump(t, got), dump(t, want); a != b {
				t.Errorf("%s: got\n%swant\n%s", d.Name, a, b)
			}
			if got.Name != want.Name || got.Classes != want.Classes || !reflect.DeepEqual(got.Input, want.Input) {
				t.Errorf("%s: got %s, %d classes, %v, want %s, %d, %v", d.Name, got.Name, got.Classes, got.Input, want.Name, want.Classes, want.Input)
			}
			for i, p := range want.Graph.Params() {
				if q := got.Graph.Params()[i]; !slices.Equal(p.Value, q.Value) || p.Role != q.Role {
					t.Errorf("%s: %s begins with other values", d.Name, p.Name)
				}
			}
			p, q := programs(t, got), programs(t, want)
			if !slices.Equal(p, q) {
				t.Errorf("%s computes something else", d.Name)
			}
		}
	}
}

// programs runs a network on pixels that rise.
func programs(t *testing.T, n *layers.Net) []float32 {
	t.Helper()
	p, err := n.Graph.Compile(autograd.CompileOptions{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	pixels := make([]uint8, n.Input.C*n.Input.H*n.Input.W)
	for i := range pixels {
		pixels[i] = uint8(i * 5)
	}
	if err := p.LoadPixels("input", pixels); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	v, _ := p.View("logits")
	return v.Floats(nil)
}

// every has every kind of layer and every field.
const every = `
name: every
input: {shape: [2, 13, 12], mean: [100, 120.5], std: 50}
classes: 5
layers:
  - {conv: a, out: 8, kernel: [3, 5], stride: 1, dilation: 2, pad: [2, 4, 2, 4], groups: 2, bias: true, init: glorot, bn: pytorch, activation: hard_swish}
  - {depthwise: b, kernel: 3, stride: 2, pad: same, dilation: 1, bias: false, init: uniform=0.5, bn: false, activation: sigmoid}
  - {batch_norm: c, style: keras, activation: tanh}
  - {zero_pad: d, pad: [0, 1, 1, 0]}
  - {max_pool: e, kernel: [2, 3], stride: [1, 2], pad: 1, size: ceil}
  - {average_pool: f, from: d, kernel: [2, 3], stride: [1, 2], pad: 1, size: ceil, count_pad: true}
  - {subtract: g, from: [e, f], activation: relu6}
  - {multiply: h, from: [e, g]}
  - {concat: i, from: [e, g, h], activation: relu}
  - {slice: j, channels: [0, 0, 3], rows: [1, 6], columns: [0, 4, 2]}
  - {channel_pad: k, before: 1, after: 3}
  - {leaky_relu: l, slope: 0.1}
  - {lrn: m, size: 3, alpha: 0.1, beta: 0.5, k: 2}
  - {sigmoid: n}
  - {tanh: o}
  - {hard_swish: p}
  - {relu6: q}
  - {dropout: r, rate: 0.25}
  - {reshape: s, shape: [2, 3, 20]}
  - {global_average_pool: t}
  - {flatten: u}
  - {add: v, from: [u, u]}
  - {linear: w, out: 6, bn: true, bias: true, init: he, activation: relu}
  - {relu: x}
  - {linear: y, out: classes, bias: false}
`

func TestEveryLayer(t *testing.T) {
	d := parsed(t, every)
	n := d.Build()
	text := dump(t, n)
	for _, kind := range Kinds() {
		if !strings.Contains(every, "{"+kind+": ") {
			t.Errorf("no %s in the description", kind)
		}
	}
	for _, line := range []string{
		`a +conv2d .* 3x5 pad 2,4,2,4 dilation 2x2 groups 2`,
		`a.hard_swish +hard_swish +a.bn `,
		`b +conv2d +a.hard_swish b.weight +\[N 8 7 6\] .* 3x3 stride 2x2 pad 1,0,1,1 groups 8`,
		`c +batch_norm +b.sigmoid `,
		`d +pad +c.tanh +\[N 8 8 7\]`,
		`e +max_pool +d +\[N 8 9 4\] .* 2x3 stride 1x2 pad 1,1,1,1 ceil`,
		`f +average_pool +d .* 2x3 stride 1x2 pad 1,1,1,1 ceil count pad`,
		`g +subtract +e f`,
		`h +multiply +e g.relu6`,
		`i +concat +e g.relu6 h +\[N 24 9 4\]`,
		`j +slice +i.relu +\[N 8 5 2\]`,
		`k +channel_pad +j +\[N 12 5 2\]`,
		`r +dropout .* rate 0.25`,
		`s +reshape +r +\[N 2 3 20\]`,
		`v +add +u u +\[N 2\]`,
		`w.relu +relu +w.bn`,
		`y +linear +x y.weight +\[N 5\] .* output logits`,
	} {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(text) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	if m := n.Graph.Node("l").Op().(autograd.LeakyReLUOp); m.Slope != 0.1 {
		t.Errorf("leaky relu %+v", m)
	}
	if m := n.Graph.Node("m").Op().(autograd.LRNOp); m.LRNAttrs != (autograd.LRNAttrs{Size: 3, Alpha: 0.1, Beta: 0.5, K: 2}) {
		t.Errorf("lrn %+v", m)
	}
	if bn := n.Graph.Node("c").Op().(autograd.BatchNormOp); bn.Epsilon() != 1e-3 {
		t.Errorf("batch norm %+v", bn)
	}
	if n.Input.Mean[1] != 120.5 || n.Classes != 5 {
		t.Errorf("input %+v, %d classes", n.Input, n.Classes)
	}
}

func TestJSONInAnyOrder(t *testing.T) {
	d := parsed(t, `{"layers": [{"activation": "relu", "conv": "c", "from": "input", "kernel": 3, "out": 4}, {"linear": "fc", "out": "classes"}], "name": "j"}`)
	e := parsed(t, "# the same\nlayers:\n- conv: c\n  out: 4\n  kernel: 3\n  activation: relu\n- linear: fc\n  out: classes\n")
	if !d.Same(e) || d.Same(parsed(t, lenet)) || d.Name != "j" {
		t.Errorf("%+v and %+v", d, e)
	}
	if changed := parsed(t, strings.Replace(e.Text(), "out: 4", "out: 5", 1)); d.Same(changed) {
		t.Error("5 channels are the same as 4")
	}
}

func TestMistakes(t *testing.T) {
	const fc = "\n  - {linear: fc, out: classes}"
	for _, c := range []struct {
		text string
		says []string
	}{
		{"", []string{"empty"}},
		{"[]", []string{"line 1", "mapping"}},
		{"a: b: c", []string{"mapping values"}},
		{"layer: []", []string{"line 1", "layer", `"layers"`}},
		{"name: x", []string{"no layers"}},
		{"layers: 3", []string{"line 1"}},
		{"name: a/b\nlayers:" + fc, []string{`"a/b"`}},
		{"classes: 0\nlayers:" + fc, []string{"line 1", `"0"`, "from 1"}},
		{"classes: many\nlayers:" + fc, []string{"line 1", `"many"`}},
		{"input: {shap: [1, 2, 3]}\nlayers:" + fc, []string{"line 1", "input.shap", `"shape"`}},
		{"input: {shape: [1, 2]}\nlayers:" + fc, []string{"input.shape", "[C, H, W]"}},
		{"input: {shape: 28}\nlayers:" + fc, []string{"line 1", "list of extents"}},
		{"input: {mean: 3}\nlayers:" + fc, []string{"shape"}},
		{"input: {shape: [3, 4, 4], mean: [1, 2]}\nlayers:" + fc, []string{"mean", "3 channels"}},
		{"input: {shape: [1, 4, 4], std: .inf}\nlayers:" + fc, []string{"line 1", ".inf"}},
		{"input: {shape: [1, 4, 4], std: 0}\nlayers:" + fc, []string{"std"}},
		{"layers:\n  - {cnv: c, out: 3, kernel: 1}" + fc, []string{"line 2", "no layer cnv", `"conv"`}},
		{"layers:\n  - {out: 3, cnv: c, kernel: 1}" + fc, []string{"line 2", "no layer cnv", `"conv"`}},
		{"layers:\n  - conv" + fc, []string{"line 2", "mapping"}},
		{"layers:\n  - {conv: , out: 3, kernel: 1}" + fc, []string{"line 2", "name is missing"}},
		{"layers:\n  - {conv: c, linear: d, out: 3}" + fc, []string{"line 2", "linear"}},
		{"layers:\n  - {conv: c, out: 3, kernal: 1}" + fc, []string{"line 2", "kernal", `"kernel"`, "conv c"}},
		{"layers:\n  - {conv: c, kernel: 1}" + fc, []string{"line 2", "conv c", "needs out"}},
		{"layers:\n  - {conv: c, out: 3}" + fc, []string{"line 2", "needs kernel"}},
		{"layers:\n  - {linear: c}" + fc, []string{"line 2", "needs out"}},
		{"layers:\n  - {max_pool: c}" + fc, []string{"line 2", "needs kernel"}},
		{"layers:\n  - {reshape: c}" + fc, []string{"line 2", "needs shape"}},
		{"layers:\n  - {zero_pad: c}" + fc, []string{"line 2", "needs pad"}},
		{"layers:\n  - {conv: c, out: 0, kernel: 1}" + fc, []string{"line 2", `"0"`, "classes"}},
		{"layers:\n  - {conv: c, out: 3, kernel: [1, 2, 3]}" + fc, []string{"line 2", "[rows, columns]"}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, stride: 1.5}" + fc, []string{"line 2", "1.5"}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, pad: some}" + fc, []string{"line 2", "some", "same"}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, pad: [1, 2]}" + fc, []string{"line 2", "[top, left, bottom, right]"}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, pad: -1}" + fc, []string{"line 2", "-1"}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, bias: maybe}" + fc, []string{"line 2", "maybe"}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, bn: torch}" + fc, []string{"line 2", "torch", `"pytorch"`}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, activation: rely}" + fc, []string{"line 2", "rely", `"relu"`}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, init: normal}" + fc, []string{"line 2", "normal"}},
		{"layers:\n  - {conv: c, out: 3, kernel: 1, init: he=3}" + fc, []string{"line 2", "he=3"}},
		{"layers:\n  - {max_pool: c, kernel: 1, size: round}" + fc, []string{"line 2", "round", "floor"}},
		{"layers:\n  - {max_pool: c, kernel: 1, pad: same}" + fc, []string{"line 2", "same"}},
		{"layers:\n  - {slice: c, rows: [1]}" + fc, []string{"line 2", "[start, stop]"}},
		{"layers:\n  - {leaky_relu: c, slope: .nan}" + fc, []string{"line 2", ".nan"}},
		{"layers:\n  - {relu: c, slope: 1}" + fc, []string{"line 2", "slope", "relu c"}},
		{"layers:\n  - {relu: c, out: 1}\n  - {relu: c}" + fc, []string{"line 2"}},
		{"layers:\n  - {relu: c}\n  - {relu: c}" + fc, []string{"line 3", `"c"`, "line 2"}},
		{"layers:\n  - {relu: logits}" + fc, []string{"line 2", "logits"}},
		{"layers:\n  - {relu: 'a b'}" + fc, []string{"line 2", "a b"}},
		{"layers:\n  - {relu: a/b}" + fc, []string{"line 2", "a/b"}},
		{"layers:\n  - {relu: conv1}\n  - {relu: b, from: conv2}" + fc, []string{"line 3", "conv2", `"conv1"`}},
		{"layers:\n  - {relu: b, from: b}" + fc, []string{"line 2", `"b"`}},
		{"layers:\n  - {relu: b, from: []}" + fc, []string{"line 2", "from"}},
		{"layers:\n  - {relu: b, from: {a: b}}" + fc, []string{"line 2", "from"}},
		{"layers:\n  - {relu: b, from: input, from: input}" + fc, []string{"line 2", "from"}},
		{"layers:\n  - {relu: b, from: [input, input]}" + fc, []string{"line 2", "b takes one layer, not 2"}},
		{"layers:\n  - {add: b}" + fc, []string{"line 2", "b takes 2 layers, from: [a, b], not 1"}},
		{"layers:\n  - {concat: b}" + fc, []string{"line 2", "at least 2"}},
		{"layers:\n  - {relu: a}\n  - {relu: b, from: input}" + fc, []string{"line 2", "nothing reads a"}},
		{"layers:\n  - &x {relu: a}" + fc, []string{"line 2", "anchors"}},
		{"layers:\n  - {conv: c, out: 3, out: 4, kernel: 1}" + fc, []string{"line 2", "out"}},
		{"layers:" + strings.Repeat(" ", maxText), []string{"bytes"}},
	} {
		_, err := Parse([]byte(c.text))
		if !errors.Is(err, ErrSyntax) {
			t.Errorf("%.80q: got %v, want ErrSyntax", c.text, err)
			continue
		}
		for _, w := range c.says {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%.80q: got %q, want it to say %q", c.text, err, w)
			}
		}
	}
}

// What the list cannot know, shapes, the graph says with the name of the layer.
func TestShapesAreTheGraphsConcern(t *testing.T) {
	for layer, says := range map[string]string{
		"{conv: c, out: 3, kernel: 9}":            "c: conv2d [N 1 4 4]",
		"{conv: c, out: 4, kernel: 1, groups: 2}": "c: 1 channels do not divide into 2 groups",
		"{reshape: c, shape: [3, 3]}":             "c: reshape [N 1 4 4]",
		"{dropout: c, rate: 1}":                   "c: dropout [N 1 4 4]: rate 1",
		"{slice: c, rows: [3, 2]}":                "c: slice",
	} {
		d := parsed(t, "input: {shape: [1, 4, 4]}\nlayers:\n  - "+layer+"\n  - {relu: r}\n  - {add: s, from: [r, c]}\n  - {linear: fc, out: classes}\n")
		if err := d.Build().Graph.Err(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want it to say %q", layer, err, says)
		}
	}
	d := parsed(t, "input: {shape: [1, 4, 4]}\nlayers:\n  - {conv: c, out: 3, kernel: 1}\n")
	if err := d.Build().Graph.Err(); !errors.Is(err, layers.ErrNet) {
		t.Errorf("an image for logits: %v", err)
	}
	if err := parsed(t, "layers:\n  - {linear: fc, out: 2}\n").Build().Graph.Err(); !errors.Is(err, layers.ErrInput) {
		t.Errorf("no input: %v", err)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my net.v2.yaml")
	if err := os.WriteFile(path, []byte("layers:\n  - {linear: fc, out: classes}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if d, err := Read(path); err != nil || d.Name != "my_net.v2" || d.Classes != 10 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := Read(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("layers:\n  - {linaer: fc}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), `"linear"`) {
		t.Errorf("a mistake: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{lenet, every, "&a [*a]", `{"layers": [{"add": "x", "from": ["input", "input"]}]}`,
		"input: {shape: [2, 5, 5]}\nlayers:\n- {conv: c, out: 4, kernel: 3, groups: 2, pad: same, bn: true}\n- {max_pool: p, kernel: 2, pad: [0, 1, 1, 0]}\n- {linear: f, out: 3}\n",
	} {
		f.Add([]byte(text))
	}
	large := regexp.MustCompile(`\d\d`) // building draws every parameter, however many there are
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := Parse([]byte(d.Text()))
		if err != nil || !again.Same(d) {
			t.Errorf("read again it is another network: %v", err)
		}
		if len(d.layers) < 8 && !large.Match(text) {
			_ = d.Build().Graph.Err()
		}
	})
}
