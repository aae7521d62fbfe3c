package train

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
)

// Names of the nodes and outputs that training deals with.
const (
	logitsName = "logits"
	lossName   = "loss"
	labelsName = "labels"
)

// checkNetwork returns the name of the input that images go into, after
// checking that the network classifies images of this kind.
func checkNetwork(g *autograd.Graph, info datasets.Info) (input string, err error) {
	if err := usable(g); err != nil {
		return "", err
	}
	logits := g.Output(logitsName)
	if logits == nil {
		return "", fmt.Errorf("%w: %s has no output %q", ErrData, g.Name(), logitsName)
	}
	t := logits.Type()
	classes, h, w := t.CHW()
	if t.Plain || h != 1 || w != 1 {
		return "", fmt.Errorf("%w: %s: the logits are %s, must be [N C]", ErrData, g.Name(), t)
	}
	if info.Classes > classes {
		return "", fmt.Errorf("%w: %s has %d classes, %s tells %d apart", ErrData, info.Name, info.Classes, g.Name(), classes)
	}
	var x *autograd.Node
	for _, n := range g.Nodes() {
		if n.Op() != nil || n.Param() != nil || n.Name() == labelsName {
			continue
		}
		if x != nil {
			return "", fmt.Errorf("%w: %s has the inputs %q and %q: one for images is expected", ErrData, g.Name(), x.Name(), n.Name())
		}
		x = n
	}
	if x == nil {
		return "", fmt.Errorf("%w: %s has no input for images", ErrData, g.Name())
	}
	return x.Name(), checkInput(g.Name(), x, info)
}

// checkInput compares element type and shape of an input with the samples.
func checkInput(net string, x *autograd.Node, info datasets.Info) error {
	want := autograd.Uint8
	if info.Float {
		want = autograd.Float32
	}
	if got := x.Type().DType; got != want {
		return fmt.Errorf("%w: %s holds %s samples, the input %q of %s takes %s", ErrData, info.Name, want, x.Name(), net, got)
	}
	c, h, w := x.Type().CHW()
	same := c == info.C && h == info.H && w == info.W
	// A vector takes images whose order in memory is that of [C H W].
	vector := len(x.Type().Shape) == 2 && c == info.Size() && (info.C == 1 || info.H*info.W == 1)
	if !same && !vector {
		return fmt.Errorf("%w: %s holds samples [%d %d %d], the input %q of %s is %s",
			ErrData, info.Name, info.C, info.H, info.W, x.Name(), net, x.Type())
	}
	return nil
}

// WithLoss returns the graph with what [Fit] adds to it: the input "labels" and, as
// the output "loss", the mean cross entropy of the softmax of its logits. It is for
// loops of one's own. A graph that brings its own loss is returned as it is; it then
// needs the input "labels" and allows no smoothing.
func WithLoss(g *autograd.Graph, smoothing float32) (*autograd.Graph, error) {
	if g.Output(lossName) != nil {
		if smoothing != 0 {
			return nil, optionError("label smoothing %v: %s brings a loss of its own", smoothing, g.Name())
		}
		if g.Node(labelsName) == nil {
			return nil, fmt.Errorf("%w: %s has a loss but no input %q", ErrData, g.Name(), labelsName)
		}
		return g, nil
	}
	return g.Rewrite(func(e *autograd.Edit) error {
		labels := e.Graph().Input(labelsName, autograd.Int32)
		e.SetOutput(lossName, autograd.SoftmaxCrossEntropy(lossName, e.Graph().Output(logitsName), labels, smoothing))
		return e.Graph().Err()
	})
}

// load copies the images of a batch into a program.
func load(p *autograd.Program, input string, b *datasets.Batch) error {
	if b.Floats != nil {
		return p.LoadFloats(input, b.Floats)
	}
	return p.LoadPixels(input, b.Pixels)
}

// checkLabels looks for a label that is none of the classes.
func checkLabels(info datasets.Info, b *datasets.Batch) error {
	for n, label := range b.Labels[:b.N] {
		if label < 0 || int(label) >= info.Classes {
			return fmt.Errorf("%w: %s: image %d has label %d of %d classes", ErrData, info.Name, b.Indices[n], label, info.Classes)
		}
	}
	return nil
}

// logits reads the output of a program sample by sample.
type logits struct {
	autograd.View
	exact bool // one scale: integers compare like the numbers they stand for
}

func logitsOf(p *autograd.Program) (logits, error) {
	v, ok := p.View(logitsName)
	if !ok {
		return logits{}, fmt.Errorf("%w: the program of %s has no logits", ErrData, p.Graph().Name())
	}
	return logits{v, v.IsCodes() && (v.Grid == nil || !v.Grid.PerChannel())}, nil
}

// rank returns how many classes come before the given one for sample n: those
// with a higher logit, and lower-numbered ones with the same. Rank 0 is the
// answer of the network.
func (l logits) rank(n int, class int32) int {
	from, c := l.Row(n), int(class)
	r := 0
	for i := range l.L.C {
		if i != c && l.before(from, i, c) {
			r++
		}
	}
	return r
}

func (l logits) before(from, i, c int) bool {
	if l.exact {
		a, b := l.integer(from+i), l.integer(from+c)
		return a > b || a == b && i < c
	}
	a, b := l.At(from+i, i), l.At(from+c, c)
	return a > b || a == b && i < c
}

func (l logits) integer(i int) int64 {
	if l.Elem() == autograd.Int64 {
		return l.I64[i]
	}
	return int64(l.Code(i))
}
