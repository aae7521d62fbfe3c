package train

import (
	"io"
	"math"
	"slices"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/optim"
)

// Options say how [Fit] trains. Epochs, Batch and Optimizer must be set; the
// zero value of everything else is a useful default.
type Options struct {
	// Epochs is the number of passes over the training data.
	Epochs int
	// Batch is the number of images in one forward and backward pass.
	Batch int
	// Accumulate is the number of batches whose mean gradient makes one step; 0
	// means 1. Batch norm sees each batch by itself, and its moving statistics
	// follow the last one of a step.
	Accumulate int
	// Optimizer says how a step changes the parameters. Its schedule counts
	// steps; [Options.Steps] says how many there are.
	Optimizer optim.Config
	// FrozenEpochs is the length of the last part of training, of which a
	// fraction may be given: batch norm is folded and its statistics stand
	// still, and so do observed ranges and learned fractional lengths. It
	// applies to graphs with and without quantizers.
	FrozenEpochs float64
	// LabelSmoothing is that of [autograd.SoftmaxCrossEntropy]. A graph that
	// brings an output "loss" of its own, over an input "labels", keeps it.
	LabelSmoothing float32
	// Augment changes training images at random.
	Augment []datasets.Augmenter
	// Freeze lists patterns of parameters that are not trained; each must match
	// one. The parameters are as free as before once Fit returns.
	Freeze []string
	// Seed decides the order of the images, their augmentation and everything
	// random in the network. It does not initialize the parameters.
	Seed uint64
	// Workers is the number of goroutines that compute; 0 means GOMAXPROCS. It
	// changes no result.
	Workers int

	// Validation is evaluated after every epoch; nil: nothing is.
	Validation datasets.Dataset
	// KeepBest leaves the graph with the parameters and statistics of the epoch
	// with the highest validation accuracy, the earliest of equal ones, instead
	// of those of the last.
	KeepBest bool

	// Dir is a directory for [CheckpointFile], [BestFile], [MetricsFile] and
	// [FLFile]; empty: nothing is written. It is made if it is missing. One that
	// holds a checkpoint is only accepted with Resume, one that another run is
	// using not at all.
	Dir string
	// CheckpointSteps writes a checkpoint after every so many steps, besides
	// that of every epoch; 0: only that one.
	CheckpointSteps int64
	// Resume continues a run from its checkpoint. Graph, data and options must
	// be those it was written with, the options of this and the next group, and
	// Workers, excepted.
	Resume *Checkpoint
	// OtherKernels lets a run continue on a machine whose kernels differ from
	// those of the checkpoint. It then ends near, but not on, the same bytes.
	OtherKernels bool

	// OnStep is called after every step, OnEpoch after every epoch, and OnFL
	// when a fractional length changes.
	OnStep  func(Step)
	OnEpoch func(Epoch)
	OnFL    func(FLChange)
	// Progress is where to show how far training is: a bar on a terminal, a line
	// for each epoch elsewhere. Nil: nowhere.
	Progress io.Writer

	// limit stands between checkpoints and the disk in tests.
	limit func(io.Writer) io.Writer
}

// Step is what a step did.
type Step struct {
	// Epoch counts from 1. Step is the number of steps done, of Steps.
	Epoch       int
	Step, Steps int64
	// Phase is [autograd.Train] or [autograd.Frozen].
	Phase autograd.Mode
	// Loss and Accuracy are means over the images of the step, in training
	// mode, before its update.
	Loss, Accuracy float64
	// LearningRate is the rate of parameters that no group treats differently,
	// GradNorm the Euclidean norm of the gradient before clipping.
	LearningRate, GradNorm float64
}

// Steps returns the number of steps that training on so many images takes, for
// schedules. Batches that are not full, and those left over when the last step
// of an epoch is complete, are not used.
func (o Options) Steps(images int) int64 {
	return int64(max(o.Epochs, 0)) * int64(o.stepsPerEpoch(images))
}

func (o Options) stepsPerEpoch(images int) int {
	return images / max(o.Batch, 1) / max(o.Accumulate, 1)
}

// Validate reports a setting that cannot work with any graph. The error wraps
// [ErrOption] or optim.ErrConfig.
func (o Options) Validate() error {
	switch {
	case o.Epochs < 1:
		return optionError("%d epochs: must be at least 1", o.Epochs)
	case o.Batch < 1:
		return optionError("batch of %d: must be at least 1", o.Batch)
	case o.Accumulate < 0:
		return optionError("accumulate %d: must not be negative", o.Accumulate)
	case !(o.FrozenEpochs >= 0) || o.FrozenEpochs > float64(o.Epochs):
		return optionError("%v frozen epochs: must be 0 to %d, the number of epochs", o.FrozenEpochs, o.Epochs)
	case !(o.LabelSmoothing >= 0 && o.LabelSmoothing <= 1):
		return optionError("label smoothing %v: must be 0 to 1", o.LabelSmoothing)
	case o.KeepBest && o.Validation == nil:
		return optionError("keeping the best epoch takes a validation set")
	case o.CheckpointSteps < 0:
		return optionError("a checkpoint every %d steps: must not be negative", o.CheckpointSteps)
	case o.CheckpointSteps > 0 && o.Dir == "":
		return optionError("a checkpoint every %d steps needs a directory", o.CheckpointSteps)
	}
	return o.Optimizer.Validate()
}

// frozenFrom returns the step, from 0, that the last part begins with.
func (o Options) frozenFrom(perEpoch int) int64 {
	frozen := int64(math.Round(o.FrozenEpochs * float64(perEpoch)))
	return int64(o.Epochs)*int64(perEpoch) - frozen
}

// settings lists what determines the result, for the metadata of a checkpoint.
func (o Options) settings() []setting {
	augment := []string{}
	for _, a := range o.Augment {
		augment = append(augment, a.String())
	}
	s := []setting{
		{"epochs", describe(o.Epochs)},
		{"batch", describe(o.Batch)},
		{"accumulate", describe(max(o.Accumulate, 1))},
		{"optimizer", describe(o.Optimizer)},
		{"frozen_epochs", describe(o.FrozenEpochs)},
		{"label_smoothing", describe(o.LabelSmoothing)},
		{"augment", describe(augment)},
		{"freeze", describe(slices.Clone(o.Freeze))},
		{"seed", describe(o.Seed)},
		{"keep_best", describe(o.KeepBest)},
	}
	return s
}

// setting is one entry of the metadata of a checkpoint.
type setting struct{ key, value string }
