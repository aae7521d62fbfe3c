package measure

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/optim"
)

// ErrConfig marks a measurement that cannot be made as it was asked for.
var ErrConfig = errors.New("measure: invalid measurement")

// Modes of a measurement.
const (
	// Float is a training step in floating point.
	Float = "float"
	// QAT is a training step with straight-through gradients, whose ranges follow a
	// moving average.
	QAT = "qat"
	// LSQ is a training step with learned ranges: step sizes (LSQ) of integers,
	// thresholds (TQT) of dynamic fixed point.
	LSQ = "lsq"
	// Infer is the float evaluation program.
	Infer = "infer"
	// Int8 is the integer engine.
	Int8 = "int8"
)

// Phases of training.
const (
	// Batch normalizes by the statistics of the batch; ranges stand still, or are
	// learned.
	Batch = "batch"
	// Observe is Batch with observers that watch every step.
	Observe = "observe"
	// Frozen has batch norm folded with its moving statistics, and no observer.
	Frozen = "frozen"
)

// Modes and Phases are the words that a Config takes.
var (
	Modes  = []string{Float, QAT, LSQ, Infer, Int8}
	Phases = []string{Batch, Observe, Frozen}
)

// DefaultQuant is the specification of quantized modes where none is given.
const DefaultQuant = "int8:w8a8"

// A Config says what is measured.
type Config struct {
	// Net is the name of the network, and Build makes it; without Build it is one of
	// package layers.
	Net   string
	Build func(opts ...layers.Option) *layers.Net
	// Mode is one of Modes, Phase one of Phases; an empty phase means Batch in
	// training. Inference has none.
	Mode, Phase string
	// Quant and Rules say how quantized modes are quantized; an empty Quant means
	// DefaultQuant. They leave the estimator to the mode and the observer to the
	// phase.
	Quant string
	Rules []string
	// Pixels feeds uint8 pixels and lets the network normalize them, as bitgrad train
	// does. Otherwise it reads float32 samples, as networks of other frameworks do.
	Pixels bool
	// Optimizer is how a training step changes the network; nil means SGD with a momentum of 0.9.
	Optimizer optim.Method
	// Batch is the number of images in a step.
	Batch int
	// Threads is the number of workers; 0 means GOMAXPROCS.
	Threads int
}

// Training reports whether the mode is a training step.
func (c Config) Training() bool { return c.Mode == Float || c.Mode == QAT || c.Mode == LSQ }

// Quantized reports whether the mode quantizes.
func (c Config) Quantized() bool { return c.Mode == QAT || c.Mode == LSQ || c.Mode == Int8 }

// complete fills in what is left open and refuses what does not go together.
func (c *Config) complete() error {
	if err := oneOf("mode", c.Mode, Modes); err != nil {
		return err
	}
	if c.Batch < 1 || c.Threads < 0 {
		return configError("batch %d, %d threads: must be positive", c.Batch, c.Threads)
	}
	switch {
	case !c.Training() && c.Phase != "":
		return configError("phase %s: mode %s is inference, which has no phases", c.Phase, c.Mode)
	case c.Training() && c.Phase == "":
		c.Phase = Batch
	case c.Training():
		if err := oneOf("phase", c.Phase, Phases); err != nil {
			return err
		}
	}
	switch {
	case !c.Training() && c.Optimizer != nil:
		return configError("optimizer %s: mode %s is inference", c.Optimizer.Name(), c.Mode)
	case c.Phase == Observe && c.Mode == Float:
		return configError("phase observe: mode float has no observers")
	case c.Phase == Observe && c.Mode == LSQ:
		return configError("phase observe: ranges that are learned are not observed: use mode qat")
	case !c.Quantized() && (c.Quant != "" && c.Quant != "float" || len(c.Rules) > 0):
		return configError("mode %s does not quantize: leave out quantization and rules, or use one of qat, lsq and int8", c.Mode)
	case c.Quantized() && c.Quant == "":
		c.Quant = DefaultQuant
	case !c.Quantized():
		c.Quant = "float"
	}
	if c.Training() && c.Optimizer == nil {
		c.Optimizer = optim.SGD{Momentum: 0.9}
	}
	return nil
}

func oneOf(what, word string, words []string) error {
	if slices.Contains(words, word) {
		return nil
	}
	return configError("%s %q: must be %s or %s%s", what, word, strings.Join(words[:len(words)-1], ", "), words[len(words)-1], glob.Hint(word, words))
}

// quantization returns what Prepare needs: the specification with the estimator of
// the mode and the observer of the phase.
func (c Config) quantization() (fakequant.Spec, []fakequant.Rule, error) {
	s, err := fakequant.ParseSpec(c.Quant)
	if err != nil {
		return s, nil, err
	}
	if s.Scheme == fakequant.Float {
		return s, nil, configError("mode %s quantizes: float is no way to", c.Mode)
	}
	if s.Observer != nil {
		return s, nil, configError("quantization %q: the observer is that of the phase: leave out %s", c.Quant, s.Observer.Name())
	}
	switch learned := s.Estimator != nil && s.Estimator.Learned(); {
	case c.Mode == QAT && learned:
		return s, nil, configError("quantization %q: mode qat does not learn ranges: use mode lsq", c.Quant)
	case c.Mode == LSQ && s.Estimator != nil && !learned:
		return s, nil, configError("quantization %q: mode lsq learns ranges: use mode qat", c.Quant)
	case c.Mode != LSQ && s.Estimator == nil:
		s.Estimator = fakequant.STE{}
	}
	s.Observer = fakequant.MSE{} // chooses ranges in calibration and then rests
	if c.Phase == Observe {
		s.Observer = fakequant.MovingAverage{}
	}
	var rules []fakequant.Rule
	for _, text := range c.Rules {
		r, err := fakequant.ParseRule(text)
		if err != nil {
			return s, nil, err
		}
		rules = append(rules, r)
	}
	return s, rules, nil
}

func configError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
}
