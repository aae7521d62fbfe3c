package train

import (
	"context"
	"fmt"
	"io"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// CalibrateOptions say what [Calibrate] shows the observers; the zero value
// will do for most networks.
type CalibrateOptions struct {
	// Images is the number of images; 0 means 1024. More than the data set holds
	// means all of them.
	Images int
	// Batch is the number of images in one forward pass; 0 means 64.
	Batch int
	// Seed decides which images are taken.
	Seed uint64
	// Workers is the number of goroutines that compute; 0 means GOMAXPROCS.
	Workers int
	// Progress is where to show a bar, if it is a terminal; nil: nowhere.
	Progress io.Writer
}

// Calibrate gives every quantizer of a prepared graph its range. It runs the
// network in float over a random choice of images, lets the observers look at
// each batch, and has them decide.
//
// It returns an error that wraps [ErrOption] for a graph without quantizers,
// [ErrNotFinite] where a value is bad, fakequant.ErrNotCalibrated where a range
// cannot be had, or the error of the context. The graph is then as before.
func Calibrate(ctx context.Context, g *autograd.Graph, ds datasets.Dataset, opt CalibrateOptions) error {
	c, err := newCalibration(g, ds, opt)
	if err != nil {
		return err
	}
	defer c.pool.Close()
	bar := newBar(opt.Progress, "calibrate", int64(c.images))
	defer bar.finish()
	vars := variablesOf(g)
	before := vars.copy()
	if err := c.run(ctx, bar); err != nil {
		vars.restore(before)
		return err
	}
	if err := fakequant.FinishCalibration(g); err != nil {
		vars.restore(before)
		return fmt.Errorf("train: calibrate: %w", err)
	}
	return nil
}

type calibration struct {
	graph    *autograd.Graph
	input    string
	loader   *datasets.Loader
	pool     *autograd.Pool
	images   int
	batch    int
	programs map[int]*autograd.Program // by batch size: full, and what is left
}

func newCalibration(g *autograd.Graph, ds datasets.Dataset, opt CalibrateOptions) (*calibration, error) {
	if ds == nil {
		return nil, optionError("the data set is nil")
	}
	if opt.Images < 0 || opt.Batch < 0 {
		return nil, optionError("%d images in batches of %d: must not be negative", opt.Images, opt.Batch)
	}
	info := ds.Info()
	input, err := checkNetwork(g, info)
	if err != nil {
		return nil, err
	}
	if len(fakequant.Quantizers(g)) == 0 {
		return nil, optionError("%s has no quantizers to calibrate: prepare it first", g.Name())
	}
	c := &calibration{graph: g, input: input, images: opt.Images, batch: opt.Batch, programs: map[int]*autograd.Program{}}
	if c.images == 0 {
		c.images = 1024
	}
	if c.batch == 0 {
		c.batch = 64
	}
	c.images = min(c.images, info.N)
	c.batch = min(c.batch, c.images)
	c.loader, err = datasets.NewLoader(ds, datasets.LoaderOptions{Batch: max(c.batch, 1), Shuffle: true, Seed: opt.Seed})
	if err != nil {
		return nil, fmt.Errorf("train: calibrate: %w", err)
	}
	c.pool = parallel.New(opt.Workers)
	return c, nil
}

func (c *calibration) options(batch int) autograd.CompileOptions {
	return autograd.CompileOptions{Mode: autograd.Calibrate, Batch: batch, Outputs: []string{logitsName}, Pool: c.pool}
}

// program returns the program for a number of images: observers must not see
// padding.
func (c *calibration) program(images int) (*autograd.Program, error) {
	if p := c.programs[images]; p != nil {
		return p, nil
	}
	p, err := c.graph.Compile(c.options(images))
	if err != nil {
		return nil, fmt.Errorf("train: calibrate: %w", err)
	}
	c.programs[images] = p
	return p, nil
}

func (c *calibration) run(ctx context.Context, bar *bar) error {
	done := 0
	for b, err := range c.loader.Epoch(ctx, 0, 0) {
		if err != nil {
			return fmt.Errorf("train: calibrate: %w", err)
		}
		cut(b, min(b.N, c.images-done))
		p, err := c.program(b.N)
		if err != nil {
			return err
		}
		if err := load(p, c.input, b); err != nil {
			return fmt.Errorf("train: calibrate: %w", err)
		}
		p.SetStep(uint64(b.Step), 0)
		p.Forward()
		if err := c.check(p, b); err != nil {
			p.Discard()
			return err
		}
		p.Commit()
		done += b.N
		bar.update(int64(done), "")
		if done == c.images {
			break
		}
	}
	return nil
}

// check looks for bad numbers in the logits, which everything flows into, and
// in what the kernels counted.
func (c *calibration) check(p *autograd.Program, b *datasets.Batch) error {
	l, err := logitsOf(p)
	if err != nil {
		return err
	}
	what := ""
	if n := p.NaNs(); n > 0 {
		what = fmt.Sprintf("%d values are not finite", n)
	}
	for n := 0; n < b.N && what == ""; n++ {
		for k := range l.L.C {
			if x := float64(l.At(l.Row(n)+k, k)); !finite(x) {
				what = fmt.Sprintf("a logit of image %d is %s", b.Indices[n], badWord(x))
				break
			}
		}
	}
	if what == "" {
		return nil
	}
	opt := c.options(b.N)
	opt.Pool = nil
	return &NotFiniteError{During: "calibrate", Batch: b.Step + 1, What: what,
		Node: firstBad(c.graph, opt, func(p *autograd.Program) error { return load(p, c.input, b) })}
}

// cut shortens a batch to n images.
func cut(b *datasets.Batch, n int) {
	if n >= b.N {
		return
	}
	size := b.H * b.W * b.C
	b.N = n
	b.Labels, b.Indices = b.Labels[:n], b.Indices[:n]
	if b.Floats != nil {
		b.Floats = b.Floats[:n*size]
	} else {
		b.Pixels = b.Pixels[:n*size]
	}
}
