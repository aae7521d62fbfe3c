package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"time"

	_ "go4.org/unsafe/assume-no-moving-gc" // a version that knows this Go: without it gorgonia refuses to start
	gg "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/bitgrad/bitgrad/internal/host"
	"github.com/bitgrad/bitgrad/internal/measure"
	"github.com/bitgrad/bitgrad/layers"
)

type gorgoniaCommand struct {
	Net     string  `default:"lenet" placeholder:"NAME" help:"Network: lenet, the one that is written for it."`
	Mode    string  `default:"float" placeholder:"MODE" help:"What a step is: float training."`
	Batch   int     `default:"128" placeholder:"N" help:"Images per step."`
	Threads int     `placeholder:"N" help:"Number of threads, one for each core unless given."`
	Seconds float64 `default:"6" placeholder:"X" help:"Stop after so many seconds."`
	Serve   bool    `help:"Print a line for every number of seconds read from stdin."`
}

// Run times training steps of gorgonia.
func (g *gorgoniaCommand) Run(std streams) error {
	if g.Net != "lenet" || g.Mode != "float" {
		return fmt.Errorf("%w: net %q, mode %q: gorgonia is measured on lenet in mode float", errCall, g.Net, g.Mode)
	}
	if g.Batch < 1 || g.Threads < 0 || !(g.Seconds > 0) {
		return fmt.Errorf("%w: batch %d, %d threads, %v seconds: must be positive", errCall, g.Batch, g.Threads, g.Seconds)
	}
	if g.Threads > 0 {
		runtime.GOMAXPROCS(g.Threads)
	}
	net, err := newGorgoniaLeNet(g.Batch)
	if err != nil {
		return fmt.Errorf("gorgonia: %w", err)
	}
	defer net.machine.Close()
	if err := net.step(); err != nil {
		return fmt.Errorf("gorgonia: %w", err)
	}
	run := func(seconds float64) error {
		var took []float64
		for begin := time.Now(); len(took) < 5 || time.Since(begin).Seconds() < seconds; {
			start := time.Now()
			if err := net.step(); err != nil {
				return fmt.Errorf("gorgonia: %w", err)
			}
			took = append(took, time.Since(start).Seconds())
		}
		median := measure.SpreadOf(took).Median
		return json.NewEncoder(std.stdout).Encode(measurement{
			Peer: "gorgonia", Net: g.Net, Mode: g.Mode, Config: "tape machine", Batch: g.Batch, Threads: runtime.GOMAXPROCS(0),
			ImagesPerS: round(float64(g.Batch)/median, 1), MSPerStep: round(1e3*median, 3), MSBest: round(1e3*slices.Min(took), 3),
			Steps: len(took), PeakRSSMB: host.PeakRSS() >> 20,
		})
	}
	if !g.Serve {
		return run(g.Seconds)
	}
	return serve(std, run)
}

// gorgoniaLeNet is LeNet with its loss and solver.
type gorgoniaLeNet struct {
	machine    gg.VM
	learnables gg.Nodes
	solver     gg.Solver
	logits     gg.Value
}

// newGorgoniaLeNet builds the network with the weights, samples and labels of the
// formula.
func newGorgoniaLeNet(batch int) (*gorgoniaLeNet, error) {
	net := layers.LeNet(layers.WithFloatInput())
	measure.Fill(net.Graph)
	b := &gorgoniaBuilder{g: gg.NewGraph(), batch: batch, values: map[string][]float32{}}
	for _, p := range net.Graph.Params() {
		b.values[p.Name] = p.Value
	}
	x := b.input("x", measure.Samples(batch, 28*28), batch, 1, 28, 28)
	x = b.pool(b.conv("conv1", x, 20, 1))
	x = b.pool(b.conv("conv2", x, 50, 20))
	x = b.must(gg.Reshape(x, tensor.Shape{batch, 800}))
	x = b.must(gg.Rectify(b.linear("fc1", x, 500, 800)))
	logits := b.linear("fc2", x, 10, 500)
	target := make([]float32, batch*10)
	for i, label := range measure.Labels(batch, 10) {
		target[10*i+int(label)] = 1
	}
	y := b.input("y", target, batch, 10)
	logp := b.must(gg.Log(b.must(gg.SoftMax(logits))))
	loss := b.must(gg.Neg(b.must(gg.Mean(b.must(gg.Sum(b.must(gg.HadamardProd(y, logp)), 1))))))
	if b.err != nil {
		return nil, b.err
	}
	if _, err := gg.Grad(loss, b.learnables...); err != nil {
		return nil, err
	}
	n := &gorgoniaLeNet{learnables: b.learnables, solver: gg.NewMomentum(gg.WithLearnRate(1e-4), gg.WithMomentum(0.9), gg.WithL2Reg(1e-4))}
	gg.Read(logits, &n.logits)
	n.machine = gg.NewTapeMachine(b.g, gg.BindDualValues(b.learnables...))
	return n, nil
}

func (n *gorgoniaLeNet) step() error {
	if err := n.machine.RunAll(); err != nil {
		return err
	}
	if err := n.solver.Step(gg.NodesToValueGrads(n.learnables)); err != nil {
		return err
	}
	n.machine.Reset()
	return nil
}

// gorgoniaBuilder keeps the first error.
type gorgoniaBuilder struct {
	g          *gg.ExprGraph
	batch      int
	values     map[string][]float32
	learnables gg.Nodes
	err        error
}

// must keeps the error and returns the node, or one that can be passed on.
func (b *gorgoniaBuilder) must(n *gg.Node, err error) *gg.Node {
	if err != nil && b.err == nil {
		b.err = err
	}
	return n
}

func (b *gorgoniaBuilder) input(name string, data []float32, shape ...int) *gg.Node {
	t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
	return gg.NewTensor(b.g, tensor.Float32, len(shape), gg.WithName(name), gg.WithShape(shape...), gg.WithValue(t))
}

func (b *gorgoniaBuilder) param(name string, data []float32, shape ...int) *gg.Node {
	n := b.input(name, data, shape...)
	b.learnables = append(b.learnables, n)
	return n
}

// conv adds a 5×5 convolution with a bias.
func (b *gorgoniaBuilder) conv(name string, x *gg.Node, out, in int) *gg.Node {
	w := b.param(name+".weight", slices.Clone(b.values[name+".weight"]), out, in, 5, 5)
	bias := b.param(name+".bias", slices.Clone(b.values[name+".bias"]), 1, out, 1, 1)
	if b.err != nil {
		return x
	}
	y := b.must(gg.Conv2d(x, w, tensor.Shape{5, 5}, []int{0, 0}, []int{1, 1}, []int{1, 1}))
	if b.err != nil {
		return x
	}
	return b.must(gg.BroadcastAdd(y, bias, nil, []byte{0, 2, 3}))
}

func (b *gorgoniaBuilder) pool(x *gg.Node) *gg.Node {
	if b.err != nil {
		return x
	}
	return b.must(gg.MaxPool2D(x, tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
}

// linear multiplies by a weight [I O], the transposed one of ours.
func (b *gorgoniaBuilder) linear(name string, x *gg.Node, out, in int) *gg.Node {
	w := make([]float32, out*in)
	for o := range out {
		for i := range in {
			w[i*out+o] = b.values[name+".weight"][o*in+i]
		}
	}
	weight := b.param(name+".weight", w, in, out)
	bias := b.param(name+".bias", slices.Clone(b.values[name+".bias"]), 1, out)
	if b.err != nil {
		return x
	}
	y := b.must(gg.Mul(x, weight))
	if b.err != nil {
		return x
	}
	return b.must(gg.BroadcastAdd(y, bias, nil, []byte{0}))
}
