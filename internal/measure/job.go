package measure

import (
	"context"
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/optim"
	"github.com/bitgrad/bitgrad/train"
)

// calibrationImages is the number of images that ranges are taken from.
const calibrationImages = 16

// A Job is a step that can be run again and again: a batch is copied in, forward,
// and in training loss, backward, and an update by the method of the configuration with weight
// decay 1e-4 and rate 1e-4. Learned ranges move by Adam at 1e-2, as in bitgrad train.
// It is not safe for concurrent use.
type Job struct {
	Config
	step  func() error
	pool  *autograd.Pool
	input layers.Input
	watch *clocks // nil unless a profile is taken

	floats []float32 // [N H W C], one of both
	pixels []uint8
	labels []int32
	n      int64 // steps

	program   *autograd.Program // of all modes but Int8
	passes    int               // of program in a step: a batch to infer goes through it in groups
	optimizer *optim.Optimizer  // of training
	model     *integer.Model    // of Int8
	engine    *integer.Engine
	logits    []int64
}

// New prepares a job: it builds the network, fills it by the formula, and for
// quantized modes prepares and calibrates it. Close it.
//
// Errors of a wrong call match [ErrConfig], or those of packages layers and
// fakequant.
func New(ctx context.Context, c Config) (*Job, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	net, err := c.network()
	if err != nil {
		return nil, err
	}
	j := &Job{Config: c, input: net.Input, pool: parallel.New(c.Threads)}
	j.Threads = j.pool.Workers()
	if err := j.prepare(ctx, net); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

// network builds the network and fills it.
func (c Config) network() (*layers.Net, error) {
	build := c.Build
	if build == nil {
		var err error
		if build, err = layers.ByName(c.Net); err != nil {
			return nil, err
		}
	}
	var opts []layers.Option
	if !c.Pixels {
		opts = append(opts, layers.WithFloatInput())
	}
	net := build(opts...)
	if err := net.Graph.Err(); err != nil {
		return nil, err
	}
	Fill(net.Graph)
	return net, nil
}

// Close ends the workers of the job.
func (j *Job) Close() {
	if j.engine != nil {
		j.engine.Close()
	}
	j.pool.Close()
}

func (j *Job) prepare(ctx context.Context, net *layers.Net) error {
	if err := j.fill(net); err != nil {
		return err
	}
	g, err := j.graph(ctx, net)
	if err != nil {
		return err
	}
	switch {
	case j.Mode == Int8:
		return j.prepareEngine(g)
	case j.Training():
		return j.prepareTraining(g)
	}
	return j.prepareInference(g)
}

// prepareInference lets images through in groups that stay in the cache, as train.Evaluate does.
func (j *Job) prepareInference(g *autograd.Graph) error {
	group, err := g.CacheBatch(autograd.CompileOptions{Mode: autograd.Evaluate, Outputs: []string{"logits"}})
	if err != nil {
		return err
	}
	for group = min(group, j.Batch); j.Batch%group != 0; {
		group--
	}
	return j.prepareProgram(g, autograd.Evaluate, group)
}

// fill makes the batch, channels last as loaders deliver it.
func (j *Job) fill(net *layers.Net) error {
	j.labels = Labels(j.Batch, net.Classes)
	ds, err := j.images(net, j.Batch)
	if err != nil {
		return err
	}
	indices := make([]int, j.Batch)
	for i := range indices {
		indices[i] = i
	}
	var b datasets.Batch
	err = ds.Read(&b, indices)
	j.floats, j.pixels = b.Floats, b.Pixels
	return err
}

// images returns a data set of the first n samples of the formula.
func (c Config) images(net *layers.Net, n int) (datasets.Dataset, error) {
	in := net.Input
	info := datasets.Info{Name: "formula", C: in.C, H: in.H, W: in.W, Classes: net.Classes}
	if c.Pixels {
		return datasets.FromPixels(info, pixels(n, in.C*in.H*in.W), Labels(n, net.Classes))
	}
	return datasets.FromFloats(info, Samples(n, in.C*in.H*in.W), Labels(n, net.Classes))
}

// graph returns that of the network, prepared and calibrated where the mode quantizes.
func (c Config) graph(ctx context.Context, net *layers.Net) (*autograd.Graph, error) {
	if !c.Quantized() {
		return net.Graph, nil
	}
	spec, rules, err := c.quantization()
	if err != nil {
		return nil, err
	}
	g, _, err := fakequant.Prepare(net.Graph, spec, rules...)
	if err != nil {
		return nil, err
	}
	n := min(c.Batch, calibrationImages)
	ds, err := c.images(net, n)
	if err != nil {
		return nil, err
	}
	return g, train.Calibrate(ctx, g, ds, train.CalibrateOptions{Images: n, Batch: n, Workers: c.Threads})
}

func (j *Job) prepareTraining(g *autograd.Graph) error {
	g, err := train.WithLoss(g, 0)
	if err != nil {
		return err
	}
	mode := autograd.Train
	if j.Phase == Frozen {
		mode = autograd.Frozen
		fakequant.FreezeRanges(g, true)
	}
	if err := j.prepareProgram(g, mode, j.Batch, "loss"); err != nil {
		return err
	}
	if j.optimizer, err = optim.New(g.Params(), j.updates(), j.pool); err != nil {
		return err
	}
	j.step = j.trainingStep
	return nil
}

// updates says how a step changes the parameters.
func (c Config) updates() optim.Config {
	return optim.Config{Method: c.Optimizer, LearningRate: 1e-4, WeightDecay: 1e-4,
		Groups: []optim.Group{{Roles: []autograd.Role{autograd.RangeParam}, Method: optim.Adam{}, LearningRate: 1e-2}}}
}

func (j *Job) prepareProgram(g *autograd.Graph, mode autograd.Mode, group int, outputs ...string) (err error) {
	j.passes = j.Batch / group
	j.program, err = g.Compile(autograd.CompileOptions{Mode: mode, Batch: group, Outputs: append(outputs, "logits"), Pool: j.pool})
	j.step = j.inferenceStep
	return err
}

func (j *Job) prepareEngine(g *autograd.Graph) (err error) {
	if j.model, err = export.Lower(g); err != nil {
		return err
	}
	j.engine, err = integer.NewEngine(j.model, integer.EngineOptions{Workers: j.Threads})
	j.step = j.engineStep
	return err
}

// load copies the images of one pass in.
func (j *Job) load(pass int) error {
	if j.Pixels {
		n := len(j.pixels) / j.passes
		return j.program.LoadPixels("input", j.pixels[pass*n:(pass+1)*n])
	}
	n := len(j.floats) / j.passes
	return j.program.LoadFloats("input", j.floats[pass*n:(pass+1)*n])
}

func (j *Job) inferenceStep() error {
	for pass := range j.passes {
		if err := j.load(pass); err != nil {
			return err
		}
		j.mark(loading)
		j.program.Forward()
	}
	return nil
}

// trainingStep is what train.Fit does with a batch.
func (j *Job) trainingStep() error {
	p := j.program
	if err := j.load(0); err != nil {
		return err
	}
	if err := p.LoadLabels("labels", j.labels); err != nil {
		return err
	}
	p.SetStep(uint64(j.n), 0)
	j.mark(loading)
	p.Forward()
	if loss := p.Loss(); p.NaNs() > 0 || loss != loss {
		return fmt.Errorf("measure: %s: step %d: the loss is %v, %d values are not finite", j.Net, j.n+1, loss, p.NaNs())
	}
	p.Backward()
	if err := j.optimizer.Step(); err != nil {
		return err
	}
	p.Commit()
	j.mark(updating)
	return nil
}

func (j *Job) engineStep() (err error) {
	if j.Pixels {
		j.logits, err = j.engine.Run(j.logits, j.pixels)
	} else {
		j.logits, err = j.engine.RunFloat(j.logits, j.floats)
	}
	return err
}

// Step runs the job once.
func (j *Job) Step() error {
	err := j.step()
	j.n++
	return err
}

// PlannedBytes returns the memory of the program: its buffers and its scratch
// region, without parameters and their gradients. It is 0 for the integer engine,
// whose memory grows with the number of calls in progress.
func (j *Job) PlannedBytes() int {
	if j.program == nil {
		return 0
	}
	planned, _ := j.program.Bytes()
	return planned
}
