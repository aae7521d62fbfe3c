package train

import (
	"context"
	"fmt"
	"io"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// EvaluateOptions say how [Evaluate] runs; the zero value will do.
type EvaluateOptions struct {
	// Batch is the number of images in one forward pass; 0 means as many as keep what they
	// compute in the cache. Every image counts once, whatever it is.
	Batch int
	// Workers is the number of goroutines that compute; 0 means GOMAXPROCS.
	Workers int
	// Progress is where to show a bar, if it is a terminal; nil: nowhere.
	Progress io.Writer
}

// Evaluation is what a network gets right.
type Evaluation struct {
	// Images is the number of images.
	Images int
	// Loss is the mean cross-entropy of the softmax of the logits.
	Loss float64
	// Correct counts the images whose class has the highest logit, the lowest
	// class winning a tie; Top5 those whose class is among the first five.
	Correct, Top5 int
	// Classes counts images by their label.
	Classes []ClassCount
}

// ClassCount counts the images of one class.
type ClassCount struct {
	Name            string
	Images, Correct int
}

// Accuracy returns the fraction of images that were right.
func (e *Evaluation) Accuracy() float64 { return fraction(e.Correct, e.Images) }

// Top5Accuracy returns the fraction of images whose class was among the first five.
func (e *Evaluation) Top5Accuracy() float64 { return fraction(e.Top5, e.Images) }

// Accuracy returns the fraction of the images of the class that were right.
func (c ClassCount) Accuracy() float64 { return fraction(c.Correct, c.Images) }

func fraction(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

// Evaluate runs the network as it is deployed over every image of a data set,
// each exactly once. A prepared graph must be calibrated.
//
// Errors match [ErrData], [ErrOption], [ErrNotFinite] (naming the image) or the
// error of the context.
func Evaluate(ctx context.Context, g *autograd.Graph, ds datasets.Dataset, opt EvaluateOptions) (*Evaluation, error) {
	if opt.Batch < 0 {
		return nil, optionError("batch of %d: must not be negative", opt.Batch)
	}
	pool := parallel.New(opt.Workers)
	defer pool.Close()
	e, err := newEvaluator(g, ds, opt.Batch, pool)
	if err != nil {
		return nil, err
	}
	bar := newBar(opt.Progress, "evaluate", int64(e.info.N))
	defer bar.finish()
	return e.run(ctx, bar)
}

// evaluator is an evaluation program with the data it runs on, used again after
// every epoch.
type evaluator struct {
	graph  *autograd.Graph
	input  string
	info   datasets.Info
	p      *autograd.Program
	logits logits
	loader *datasets.Loader
}

// newEvaluator compiles for as many images as stay in the cache if batch is 0.
func newEvaluator(g *autograd.Graph, ds datasets.Dataset, batch int, pool *autograd.Pool) (*evaluator, error) {
	if ds == nil {
		return nil, optionError("the data set is nil")
	}
	e := &evaluator{graph: g, info: ds.Info()}
	var err error
	if e.input, err = checkNetwork(g, e.info); err != nil {
		return nil, err
	}
	options := autograd.CompileOptions{Mode: autograd.Evaluate, Outputs: []string{logitsName}, Pool: pool}
	if batch == 0 {
		if batch, err = g.CacheBatch(options); err != nil {
			return nil, fmt.Errorf("train: evaluate: %w", err)
		}
	}
	if e.loader, err = datasets.NewLoader(ds, datasets.LoaderOptions{Batch: batch}); err != nil {
		return nil, fmt.Errorf("train: evaluate: %w", err)
	}
	options.Batch = min(batch, e.info.N)
	if e.p, err = g.Compile(options); err != nil {
		return nil, fmt.Errorf("train: evaluate: %w", err)
	}
	e.logits, err = logitsOf(e.p)
	return e, err
}

func (e *evaluator) run(ctx context.Context, bar *bar) (*Evaluation, error) {
	s := &Evaluation{Classes: make([]ClassCount, e.info.Classes)}
	for c := range s.Classes {
		if c < len(e.info.ClassNames) {
			s.Classes[c].Name = e.info.ClassNames[c]
		} else {
			s.Classes[c].Name = fmt.Sprint(c)
		}
	}
	for b, err := range e.loader.Epoch(ctx, 0, 0) {
		if err != nil {
			return nil, fmt.Errorf("train: evaluate: %w", err)
		}
		if err := load(e.p, e.input, b); err != nil {
			return nil, fmt.Errorf("train: evaluate: %w", err)
		}
		e.p.Forward()
		if err := e.count(s, b); err != nil {
			return nil, err
		}
		bar.update(int64(s.Images), "")
	}
	s.Loss /= float64(max(s.Images, 1))
	return s, nil
}

// count adds the images of a batch; samples behind them are padding.
func (e *evaluator) count(s *Evaluation, b *datasets.Batch) error {
	if err := checkLabels(e.info, b); err != nil {
		return err
	}
	for n, label := range b.Labels[:b.N] {
		loss := e.logits.crossEntropy(n, label)
		if !finite(loss) {
			return &NotFiniteError{During: "evaluate", Batch: b.Step + 1, Node: e.firstBad(b),
				What: fmt.Sprintf("the loss of image %d is %s", b.Indices[n], badWord(loss))}
		}
		s.Loss += loss
		rank := e.logits.rank(n, label)
		s.Classes[label].Images++
		if rank == 0 {
			s.Correct++
			s.Classes[label].Correct++
		}
		if rank < 5 {
			s.Top5++
		}
	}
	s.Images += b.N
	return nil
}

// firstBad runs the batch again, node by node.
func (e *evaluator) firstBad(b *datasets.Batch) string {
	return firstBad(e.graph, autograd.CompileOptions{Mode: autograd.Evaluate, Batch: e.p.Batch(), Outputs: []string{logitsName}},
		func(p *autograd.Program) error { return load(p, e.input, b) })
}

// firstBad runs a graph without its passes on the data that feed loads and
// names the first node whose value is not finite; empty where all are.
func firstBad(g *autograd.Graph, opt autograd.CompileOptions, feed func(*autograd.Program) error) string {
	opt.Plain = true
	p, err := g.Compile(opt)
	if err != nil {
		return ""
	}
	if err := feed(p); err != nil {
		return ""
	}
	name := p.FirstBad()
	p.Discard()
	return name
}
