package randomgraph

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
)

// Classes is the number of logits of every network.
const Classes = 4

// A Sample is a random network and images for it.
type Sample struct {
	// Graph is prepared, calibrated and trained for a few steps. Its input is
	// "input", its outputs are "logits" and "loss".
	Graph *autograd.Graph
	// Data holds a few images; one of floats also holds NaN, infinities and
	// numbers far outside the range that calibration saw.
	Data datasets.Dataset
	// Quantization is the spec and the rules, as the command line writes them.
	Quantization string
}

// Draw draws a sample. Nearly all can be lowered; a few have scales too far
// apart for any rule.
func Draw(t *rapid.T) *Sample {
	d := &drawer{T: t, g: autograd.NewGraph("random")}
	d.drawSpec()
	d.network()
	if err := d.g.Err(); err != nil {
		t.Fatalf("the generator builds what is no graph: %v", err)
	}
	d.g.Initialize(uint64(d.between("seed", 0, 1<<bits-1)))
	words := d.spec.String()
	for _, r := range d.rules {
		words += " " + r.String()
	}
	q, _, err := fakequant.Prepare(d.g, d.spec, d.rules...)
	if err != nil {
		t.Fatalf("%s: %v", words, err)
	}
	s := &Sample{q, d.data(), words}
	if err := train(s, d.pick("steps", 3), d.pick("frozen steps", 2)); err != nil {
		t.Fatalf("%s: %v", words, err)
	}
	return s
}

// drawer holds a network while it grows.
type drawer struct {
	*rapid.T
	g     *autograd.Graph
	spec  fakequant.Spec
	rules []fakequant.Rule

	wide     bool // outputs have more than 8 bits: no function has a table
	narrow   bool // weights leave out the most negative code
	floats   bool // the input takes samples
	shape    [3]int
	names    map[string]int   // nodes by kind
	layers   []string         // convolutions and linear layers
	sums     []string         // operations of several operands
	images   []*autograd.Node // all values with rows and columns
	products int
}

// bits is the number of random bits behind a choice.
const bits = 10

var coins = rapid.Custom(func(t *rapid.T) int {
	v := 0
	for range bits {
		v *= 2
		if coin.Draw(t, "") {
			v++
		}
	}
	return v
})

var coin = rapid.Bool()

// pick returns one of 0…n−1, all equally likely: the ranges of rapid prefer small
// numbers. It shrinks towards 0.
func (d *drawer) pick(what string, n int) int { return coins.Draw(d.T, what) * n >> bits }

// between returns one of lo…hi, all equally likely.
func (d *drawer) between(what string, lo, hi int) int { return lo + d.pick(what, hi-lo+1) }

// one reports true once in n, and shrinks towards false.
func (d *drawer) one(what string, n int) bool { return d.pick(what, n) == n-1 }

func choose[E any](d *drawer, what string, from ...E) E { return from[d.pick(what, len(from))] }

// name returns a name for a node of that kind.
func (d *drawer) name(kind string) string {
	if d.names == nil {
		d.names = map[string]int{}
	}
	d.names[kind]++
	return fmt.Sprintf("%s%d", kind, d.names[kind])
}

// param adds a parameter. Wide weights saturate, narrow ones leave most codes
// unused, and weights of zero have no range.
func (d *drawer) param(name string, role autograd.Role, shape ...int) *autograd.Node {
	var init autograd.Initializer
	switch role {
	case autograd.Gamma:
		init = choose(d, name, autograd.Uniform(1.5), autograd.Ones(), autograd.Uniform(1.5), autograd.Zeros())
	case autograd.Weight:
		init = choose(d, name, autograd.Normal(0.3), autograd.Normal(0.3), autograd.Normal(0.05), autograd.Normal(2), autograd.HeNormal(),
			autograd.HeNormal(), autograd.HeNormal(), autograd.Zeros())
	default:
		init = choose(d, name, autograd.Normal(0.3), autograd.Normal(0.3), autograd.Normal(5), autograd.Zeros(), autograd.Normal(300), autograd.Normal(30000))
	}
	return d.g.Param(name, role, init, shape...)
}

// network draws everything from the input to the loss.
func (d *drawer) network() {
	x := d.input()
	if len(x.Type().Shape) == 4 {
		d.images = append(d.images, x)
		for range d.between("layers", 2, 9) {
			if x = d.layer(x); d.g.Err() != nil {
				return
			}
			d.images = append(d.images, x)
		}
	}
	y := d.head(x)
	d.g.SetOutput("logits", y)
	d.g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", y, d.g.Input("labels", autograd.Int32), 0))
	d.drawRules()
}

// input adds the input: normalized pixels, float images or float vectors.
func (d *drawer) input() *autograd.Node {
	c, h, w := choose(d, "C", 1, 2, 3, 4, 6), d.between("H", 4, 9), d.between("W", 4, 9)
	switch d.pick("input", 6) {
	case 4:
		d.floats, d.shape = true, [3]int{c, h, w}
		return d.g.Input("input", autograd.Float32, c, h, w)
	case 5:
		d.floats, d.shape = true, [3]int{4 * c, 1, 1}
		return d.g.Input("input", autograd.Float32, 4*c)
	}
	d.shape = [3]int{c, h, w}
	scale, offset := make([]float32, c), make([]float32, c)
	for i := range scale {
		scale[i] = choose(d, "scale", float32(1.0/64), 1.0/64, 0.02, 1.0/255, -1.0/64)
		offset[i] = choose(d, "offset", float32(0), 0, -1.7, -2, 0.4)
	}
	return autograd.Normalize("normalize", d.g.Input("input", autograd.Uint8, c, h, w), scale, offset)
}
