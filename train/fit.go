package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/optim"
)

// Result is what [Fit] did. The trained network is in the graph.
type Result struct {
	// Epochs has one entry per epoch, those before a resumption included.
	Epochs []Epoch
	// Steps is the number of steps of the whole run.
	Steps int64
	// BestEpoch, from 1, has the highest validation accuracy, BestAccuracy; 0
	// without a validation set.
	BestEpoch    int
	BestAccuracy float64
	// FLChanges lists the changes of fractional lengths, in order.
	FLChanges []FLChange
	// ImagesPerSecond is how fast the steps of this call were, loading and augmentation
	// included, and without what is no step: compilation, validation, files.
	ImagesPerSecond float64
}

// Fit trains the parameters of a graph on a data set. The graph has one input
// for images and an output "logits", [N C]; a prepared one must be calibrated.
// Its parameters keep the values that they have: initialize or load them
// first.
//
// Errors match [ErrOption], [ErrData], [ErrNotFinite], [ErrStopped] and the
// error of the context, [ErrCheckpoint], [ErrBusy], or those of the packages
// below.
// After an error the graph holds the last good step.
func Fit(ctx context.Context, g *autograd.Graph, data datasets.Dataset, opt Options) (*Result, error) {
	t, err := newTrainer(g, data, opt)
	if err != nil {
		return nil, err
	}
	defer t.close()
	return t.run(ctx)
}

// trainer is one call of Fit.
type trainer struct {
	opt    Options
	info   datasets.Info
	graph  *autograd.Graph // with the loss
	input  string
	vars   variables
	thawed map[*autograd.Param]bool // Frozen, as it was before

	pool      *autograd.Pool
	optimizer *optim.Optimizer
	loader    *datasets.Loader
	validate  *evaluator // nil: no validation set, or not needed yet
	program   *autograd.Program
	logits    logits
	lengths   *lengths
	settings  []setting
	report    *reporter
	lock      *files.Lock // on the directory

	perEpoch   int // steps
	accumulate int
	total      int64
	frozenFrom int64

	// Where the run is: what a checkpoint holds besides the network.
	epoch   int // complete epochs
	inEpoch int // steps of the next one; perEpoch: only its validation is left
	sums    sums
	epochs  []Epoch
	best    best
	told    int // changes of fractional lengths that progress has shown
}

// sums are those of the images of an epoch, or of a step.
type sums struct {
	loss            float64 // times images
	correct, images int64
}

func (s *sums) add(o sums) {
	s.loss += o.loss
	s.correct += o.correct
	s.images += o.images
}

func (s sums) mean() (loss, accuracy float64) {
	n := float64(max(s.images, 1))
	return s.loss / n, float64(s.correct) / n
}

// best is the epoch with the highest validation accuracy.
type best struct {
	epoch    int // from 1; 0: none
	accuracy float64
	values   [][]float32 // nil unless the best epoch is to be kept
}

func newTrainer(g *autograd.Graph, data datasets.Dataset, opt Options) (*trainer, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if data == nil {
		return nil, optionError("the data set is nil")
	}
	t := &trainer{opt: opt, info: data.Info(), accumulate: max(opt.Accumulate, 1)}
	var err error
	if t.input, err = checkNetwork(g, t.info); err != nil {
		return nil, err
	}
	if opt.Validation != nil {
		if _, err := checkNetwork(g, opt.Validation.Info()); err != nil {
			return nil, err
		}
	}
	if t.perEpoch = opt.stepsPerEpoch(t.info.N); t.perEpoch == 0 {
		return nil, optionError("%s has %d images, fewer than one step of %d×%d", t.info.Name, t.info.N, t.accumulate, opt.Batch)
	}
	t.total, t.frozenFrom = opt.Steps(t.info.N), opt.frozenFrom(t.perEpoch)
	if t.graph, err = WithLoss(g, opt.LabelSmoothing); err != nil {
		return nil, fmt.Errorf("train: fit: %w", err)
	}
	t.vars = variablesOf(g)
	t.lengths = newLengths(g)
	if t.settings, err = settingsOf(g, data, opt); err != nil {
		return nil, err
	}
	t.loader, err = datasets.NewLoader(data, datasets.LoaderOptions{Batch: opt.Batch, Shuffle: true, Seed: opt.Seed,
		DropLast: true, Augment: opt.Augment})
	if err != nil {
		return nil, fmt.Errorf("train: fit: %w", err)
	}
	t.pool = parallel.New(opt.Workers)
	if err := t.begin(g); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// begin does what has to be undone: it freezes parameters and fills the graph
// from a checkpoint.
func (t *trainer) begin(g *autograd.Graph) (err error) {
	t.thawed = map[*autograd.Param]bool{}
	for _, p := range t.vars.params {
		t.thawed[p] = p.Frozen
	}
	if err := optim.Freeze(t.vars.params, t.opt.Freeze...); err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	if t.optimizer, err = optim.New(t.vars.params, t.opt.Optimizer, t.pool); err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	if err := t.openDir(); err != nil {
		return err
	}
	if t.opt.Resume != nil {
		if err := t.resume(t.opt.Resume); err != nil {
			return err
		}
	}
	if err := fakequant.Calibrated(g); err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	if t.opt.Validation != nil {
		t.validate, err = newEvaluator(g, t.opt.Validation, 0, t.pool)
	}
	return err
}

// close gives back what newTrainer took.
func (t *trainer) close() {
	for p, frozen := range t.thawed {
		p.Frozen = frozen
	}
	t.lock.Release()
	t.pool.Close()
}

// steps returns the number of steps done.
func (t *trainer) steps() int64 { return int64(t.epoch)*int64(t.perEpoch) + int64(t.inEpoch) }

// images returns the number of images that n steps take.
func (t *trainer) images(n int64) int64 { return n * int64(t.opt.Batch) * int64(t.accumulate) }

func (t *trainer) run(ctx context.Context) (*Result, error) {
	t.report = newReporter(t.opt.Progress, t.images(t.steps()), t.images(t.total))
	defer t.report.bar.finish()
	t.told = len(t.lengths.changes)
	if t.opt.Resume != nil {
		t.report.say("continuing after step %d of %d, in epoch %d of %d", t.steps(), t.total, min(t.epoch+1, t.opt.Epochs), t.opt.Epochs)
	}
	for t.epoch < t.opt.Epochs {
		if err := t.runEpoch(ctx); err != nil {
			t.drop()
			return nil, err
		}
	}
	if t.best.values != nil {
		t.vars.restore(t.best.values)
	}
	return &Result{Epochs: t.epochs, Steps: t.total, BestEpoch: t.best.epoch, BestAccuracy: t.best.accuracy,
		FLChanges: t.lengths.changes, ImagesPerSecond: t.report.rate()}, nil
}

// runEpoch runs what is left of an epoch.
func (t *trainer) runEpoch(ctx context.Context) error {
	if t.inEpoch == t.perEpoch {
		return t.endEpoch(ctx)
	}
	micro := 0
	var step sums
	t.report.steps.start()
	// Cancelling ends training between steps, not while a batch is read.
	for b, err := range t.loader.Epoch(context.WithoutCancel(ctx), t.epoch, t.inEpoch*t.accumulate) {
		if err != nil {
			return fmt.Errorf("train: fit: %w", err)
		}
		if micro == 0 {
			if err := t.beforeStep(ctx); err != nil {
				return err
			}
			step = sums{}
		}
		s, err := t.runBatch(b, micro)
		if err != nil {
			return err
		}
		step.add(s)
		if micro++; micro < t.accumulate {
			continue
		}
		micro = 0
		if err := t.update(step); err != nil {
			return err
		}
		if t.inEpoch == t.perEpoch {
			break
		}
		if every := t.opt.CheckpointSteps; every > 0 && t.steps()%every == 0 {
			if err := t.report.apart(t.save); err != nil {
				return err
			}
		}
	}
	return t.endEpoch(ctx)
}

// beforeStep stops a cancelled run and makes the program of the part of
// training that the step belongs to.
func (t *trainer) beforeStep(ctx context.Context) error {
	if ctx.Err() != nil {
		return t.stop(ctx)
	}
	mode := t.phase(t.steps())
	if t.program != nil && t.program.Mode() == mode {
		return nil
	}
	return t.report.apart(func() error { return t.compile(mode) })
}

// compile makes the program of a part of training.
func (t *trainer) compile(mode autograd.Mode) error {
	t.program, t.logits = nil, logits{} // before there is a second one
	if mode == autograd.Frozen {
		fakequant.FreezeRanges(t.graph, true)
	}
	p, err := t.graph.Compile(t.compileOptions(mode))
	if err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	if t.logits, err = logitsOf(p); err != nil {
		return err
	}
	t.program = p
	t.lengths.watch(p)
	return nil
}

// phase returns the mode of a step, counted from 0.
func (t *trainer) phase(step int64) autograd.Mode {
	if step >= t.frozenFrom {
		return autograd.Frozen
	}
	return autograd.Train
}

func (t *trainer) compileOptions(mode autograd.Mode) autograd.CompileOptions {
	return autograd.CompileOptions{Mode: mode, Batch: t.opt.Batch, Outputs: []string{logitsName, lossName}, Loss: lossName,
		Pool: t.pool, Seed: t.opt.Seed}
}

// runBatch runs one batch forward and backward.
func (t *trainer) runBatch(b *datasets.Batch, micro int) (sums, error) {
	p := t.program
	if err := checkLabels(t.info, b); err != nil {
		return sums{}, err
	}
	if err := t.feed(p, b, micro); err != nil {
		return sums{}, err
	}
	p.Forward()
	loss := float64(p.Loss())
	if n := p.NaNs(); n > 0 || !finite(loss) {
		what := fmt.Sprintf("the loss is %s", badWord(loss))
		if finite(loss) {
			what = fmt.Sprintf("%d values are not finite", n)
		}
		return sums{}, t.refuse(b, micro, what)
	}
	s := sums{loss: loss * float64(b.N), images: int64(b.N)}
	for n, label := range b.Labels[:b.N] {
		if t.logits.rank(n, label) == 0 {
			s.correct++
		}
	}
	p.Backward()
	if t.accumulate > 1 {
		t.optimizer.Accumulate()
	}
	return s, nil
}

func (t *trainer) feed(p *autograd.Program, b *datasets.Batch, micro int) error {
	err := load(p, t.input, b)
	if err == nil {
		err = p.LoadLabels(labelsName, b.Labels)
	}
	if err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	p.SetStep(uint64(t.steps()), uint32(micro))
	return nil
}

// refuse drops the step and says what was wrong with it.
func (t *trainer) refuse(b *datasets.Batch, micro int, what string) error {
	t.drop()
	e := &NotFiniteError{During: "fit", Epoch: t.epoch + 1, Step: t.steps() + 1, Batch: b.Step + 1, What: what}
	opt := t.compileOptions(t.program.Mode())
	e.Node = firstBad(t.graph, opt, func(p *autograd.Program) error { return t.feed(p, b, micro) })
	return e
}

// drop forgets a step that is not complete.
func (t *trainer) drop() {
	if t.program != nil {
		t.program.Discard()
	}
	t.optimizer.Discard()
}

// update makes the step that the batches amount to: parameters and state
// change together or not at all.
func (t *trainer) update(s sums) error {
	rate := t.optimizer.LearningRate()
	if err := t.optimizer.Step(); err != nil {
		t.drop()
		var bad *optim.NotFiniteError
		if errors.As(err, &bad) {
			return &NotFiniteError{During: "fit", Epoch: t.epoch + 1, Step: t.steps() + 1,
				What: fmt.Sprintf("the gradient of %s is %s at element %d", bad.Param, badWord(float64(bad.Value)), bad.Index)}
		}
		return fmt.Errorf("train: fit: %w", err)
	}
	t.program.Commit()
	t.inEpoch++
	t.sums.add(s)
	if n := t.lengths.compare(t.steps()); n > 0 && t.opt.OnFL != nil {
		for _, c := range t.lengths.changes[len(t.lengths.changes)-n:] {
			t.opt.OnFL(c)
		}
	}
	loss, accuracy := s.mean()
	if t.opt.OnStep != nil {
		t.opt.OnStep(Step{Epoch: t.epoch + 1, Step: t.steps(), Steps: t.total, Phase: t.program.Mode(), Loss: loss, Accuracy: accuracy,
			LearningRate: rate, GradNorm: t.optimizer.GradNorm()})
	}
	t.report.step(t.epoch+1, t.opt.Epochs, s.images, t.images(t.steps()), loss, accuracy)
	return nil
}

// endEpoch evaluates the network, takes stock and writes a checkpoint.
func (t *trainer) endEpoch(ctx context.Context) error {
	t.report.steps.stop()
	last := t.steps() - 1
	e := Epoch{Epoch: t.epoch + 1, Steps: t.steps(), Phase: t.phase(last), LearningRate: t.rateAt(last),
		ValidationLoss: math.NaN(), ValidationAccuracy: math.NaN()}
	e.Loss, e.Accuracy = t.sums.mean()
	improved := false
	if t.validate != nil {
		v, err := t.validate.run(ctx, nil)
		if err != nil {
			if ctx.Err() != nil {
				return t.stop(ctx)
			}
			return err
		}
		e.ValidationLoss, e.ValidationAccuracy = v.Loss, v.Accuracy()
		improved = t.keep(e)
	}
	t.epochs = append(t.epochs, e)
	t.epoch, t.inEpoch, t.sums = t.epoch+1, 0, sums{}
	if err := t.saveEpoch(improved); err != nil {
		return err
	}
	t.report.epoch(e, t.opt.Epochs, t.images(t.steps()), t.lengths.changes[t.told:])
	t.told = len(t.lengths.changes)
	if t.opt.OnEpoch != nil {
		t.opt.OnEpoch(e)
	}
	return nil
}

// keep remembers the epoch if it is the best one so far, and reports whether it
// is.
func (t *trainer) keep(e Epoch) bool {
	if t.best.epoch > 0 && e.ValidationAccuracy <= t.best.accuracy {
		return false
	}
	t.best.epoch, t.best.accuracy = e.Epoch, e.ValidationAccuracy
	if t.opt.KeepBest {
		if t.best.values == nil {
			t.best.values = t.vars.copy()
		} else {
			t.vars.copyTo(t.best.values)
		}
	}
	return true
}

// rateAt returns the learning rate of a step, counted from 0.
func (t *trainer) rateAt(step int64) float64 {
	c := t.opt.Optimizer
	if c.Schedule == nil {
		return c.LearningRate
	}
	return c.LearningRate * c.Schedule.At(step)
}

// stop ends a cancelled run with a checkpoint.
func (t *trainer) stop(ctx context.Context) error {
	e := &StoppedError{Epoch: t.epoch + 1, Steps: t.steps(), Total: t.total, Err: ctx.Err()}
	if t.opt.Dir == "" {
		return e
	}
	if err := t.save(); err != nil {
		return errors.Join(e, err)
	}
	e.Checkpoint = t.path(CheckpointFile)
	return e
}
