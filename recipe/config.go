package recipe

import (
	"math"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/glob"
)

// Tasks of a run.
const (
	// Train goes from nothing to an integer model.
	Train = "train"
	// Quantize starts from trained float weights and does not train.
	Quantize = "quantize"
	// FineTune starts from a calibrated or fine-tuned network.
	FineTune = "finetune"
)

// Float is the Quant of a run that trains in floating point only, for
// Float.Epochs + Tune.Epochs: the control of a quantized one.
const Float = "float"

// Config is everything that determines the result of a run. Start from
// [Default], which leaves no field open.
type Config struct {
	// Task is Train, Quantize or FineTune.
	Task string `yaml:"task"`
	// Data is the name of a data set, or a folder; see datasets.Open.
	Data string `yaml:"data"`
	// Limit uses the first so many training images; 0 means all. A quarter of
	// that many, at least 100, validate and test.
	Limit int `yaml:"limit"`
	// Net is the name of a reference network, one of layers.Names, or the path of a
	// description; see package netfile. In a run it is a name.
	Net string `yaml:"net"`
	// Network is the text of the description of Net, which [Start] fills in. It is
	// empty for a reference network.
	Network string `yaml:"network,omitempty"`
	// Normalize is "net" for the network's own mean and deviation of the pixels
	// and "data" for those of the data set. Data sets of another shape than
	// the network is drawn for use their own.
	Normalize string `yaml:"normalize"`
	// Quant is the specification of all layers, Rules change some: "GLOB=SPEC".
	Quant string   `yaml:"quant"`
	Rules []string `yaml:"rules"`
	// Seed decides the weights, the order of the images and everything else that
	// is random.
	Seed uint64 `yaml:"seed"`
	// Batch is the number of images per step.
	Batch int `yaml:"batch"`
	// Augment changes training images: "crop=4,flip"; see datasets.ParseAugmentation.
	Augment string `yaml:"augment"`
	// LabelSmoothing is the share of the target spread over all classes.
	LabelSmoothing float64 `yaml:"label_smoothing"`
	Float          Phase   `yaml:"float"`
	Tune           Tuning  `yaml:"tune"`
	// Calibration is the number of training images that ranges are taken from.
	Calibration int `yaml:"calibration_images"`
	// Integer makes the integer model; without it the run ends with the
	// fine-tuned network.
	Integer bool `yaml:"integer"`
	// Verify is the number of test images whose every code is compared; 0 means
	// all.
	Verify int `yaml:"verify_images"`
	// Export lists further formats to write: "c".
	Export []string `yaml:"export"`
}

// Phase is how a network is trained in floating point.
type Phase struct {
	Epochs int `yaml:"epochs"`
	// Optimizer is "adam", "adamw" or "sgd" (momentum 0.9, Nesterov).
	Optimizer string `yaml:"optimizer"`
	// LearningRate falls along half a cosine to 0.
	LearningRate float64 `yaml:"learning_rate"`
	// Warmup is the share of the steps in which the rate rises.
	Warmup      float64 `yaml:"warmup"`
	WeightDecay float64 `yaml:"weight_decay"`
}

// Tuning is how the quantized network is trained.
type Tuning struct {
	Phase `yaml:",inline"`
	// RangeLearningRate is that of learned ranges, which Adam trains.
	RangeLearningRate float64 `yaml:"range_learning_rate"`
	// FrozenEpochs is the last part of Epochs, in which batch norm is folded and
	// fractional lengths no longer change.
	FrozenEpochs float64 `yaml:"frozen_epochs"`
}

// Default returns the configuration that suits a data set; "" means the embedded
// digits. A folder gets that of MNIST, but its images as they are.
func Default(data string) (Config, error) {
	c := Config{
		Task: Train, Data: data, Net: "lenet", Normalize: "net", Quant: "dfp:w8a8", Rules: []string{},
		Seed: 1, Batch: 128, Augment: "none",
		Float:       Phase{Epochs: 10, Optimizer: "adam", LearningRate: 1e-3, Warmup: 0.05},
		Tune:        Tuning{Phase{Epochs: 5, Optimizer: "adam", LearningRate: 5e-4}, 1e-2, 1},
		Calibration: 512, Integer: true, Export: []string{"c"},
	}
	switch strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(strings.TrimSpace(data))) {
	case "", "digits":
		c.Data, c.Batch, c.LabelSmoothing = "digits", 64, 0.1
		c.Float.Epochs, c.Float.LearningRate, c.Float.Warmup = 2, 3e-3, 0.1
		c.Tune.Epochs, c.Tune.LearningRate, c.Tune.FrozenEpochs = 1, 1e-3, 0.25
		c.Verify = 200
	case "mnist":
		c.Augment, c.LabelSmoothing = "shift=1", 0.1
	case "cifar10":
		c.Net, c.Augment = "resnet8", "crop=4,flip"
		c.Float = Phase{Epochs: 60, Optimizer: "sgd", LearningRate: 0.1, Warmup: 0.05, WeightDecay: 5e-4}
		c.Tune = Tuning{Phase{Epochs: 12, Optimizer: "sgd", LearningRate: 0.01, Warmup: 0.05, WeightDecay: 1e-4}, 1e-2, 2}
		c.Calibration, c.Verify = 1024, 1000
	}
	return c, nil
}

// optimizers are the words for Phase.Optimizer.
var optimizers = []string{"adam", "adamw", "sgd"}

// formats are the words for Config.Export.
var formats = []string{"c"}

// Validate reports the first field that cannot work, whatever the data.
func (c Config) Validate() error {
	if !slices.Contains([]string{Train, Quantize, FineTune}, c.Task) {
		return configError("task %q: must be train, quantize or finetune", c.Task)
	}
	if c.Data == "" {
		return configError("data: no data set is named: there are %s", strings.Join(datasets.Names(), ", "))
	}
	if err := c.readNet(); err != nil {
		return err
	}
	if _, err := design(c.Net, c.Network); err != nil {
		return err
	}
	if c.Normalize != "net" && c.Normalize != "data" {
		return configError("normalize %q: must be net or data", c.Normalize)
	}
	if _, _, err := c.quantization(); err != nil {
		return err
	}
	if _, err := datasets.ParseAugmentation(c.Augment); err != nil {
		return err
	}
	if c.Batch < 1 || c.Batch > 1<<16 {
		return configError("batch %d: must be 1 to 65536", c.Batch)
	}
	if c.Limit < 0 || c.Verify < 0 {
		return configError("limit %d and verify_images %d: must not be negative", c.Limit, c.Verify)
	}
	if c.Calibration < 1 {
		return configError("calibration_images %d: must be at least 1", c.Calibration)
	}
	if !(c.LabelSmoothing >= 0 && c.LabelSmoothing < 1) {
		return configError("label_smoothing %v: must be at least 0 and below 1", c.LabelSmoothing)
	}
	if err := c.Float.validate("float"); err != nil {
		return err
	}
	if err := c.Tune.validate("tune"); err != nil {
		return err
	}
	if !positive(c.Tune.RangeLearningRate) {
		return configError("tune.range_learning_rate %v: must be positive and finite", c.Tune.RangeLearningRate)
	}
	if f := c.Tune.FrozenEpochs; !(f >= 0) || math.IsInf(f, 0) || f == 0 && c.Tune.Epochs > 0 {
		return configError("tune.frozen_epochs %v: must be positive and finite: every run ends frozen", f)
	}
	for _, e := range c.Export {
		if !slices.Contains(formats, e) {
			return configError("export format %q: there is %s%s", e, strings.Join(formats, ", "), glob.Hint(e, formats))
		}
	}
	if c.Quant == Float && c.Task != Train {
		return configError("quant float: there is nothing to %s", c.Task)
	}
	return nil
}

func (p Phase) validate(name string) error {
	if p.Epochs < 0 || p.Epochs > 1<<20 {
		return configError("%s.epochs %d: must be 0 to 1048576", name, p.Epochs)
	}
	if !slices.Contains(optimizers, p.Optimizer) {
		return configError("%s.optimizer %q: must be %s", name, p.Optimizer, strings.Join(optimizers, ", "))
	}
	if !positive(p.LearningRate) {
		return configError("%s.learning_rate %v: must be positive and finite", name, p.LearningRate)
	}
	if !(p.Warmup >= 0 && p.Warmup <= 1) {
		return configError("%s.warmup %v: must be 0 to 1", name, p.Warmup)
	}
	if !(p.WeightDecay >= 0) || math.IsInf(p.WeightDecay, 0) {
		return configError("%s.weight_decay %v: must be finite and not negative", name, p.WeightDecay)
	}
	return nil
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }

// quantization parses Quant and Rules.
func (c Config) quantization() (fakequant.Spec, []fakequant.Rule, error) {
	base, err := fakequant.ParseSpec(c.Quant)
	if err != nil {
		return base, nil, err
	}
	if base.Scheme == fakequant.Inherit {
		base.Scheme = fakequant.FixedPoint
	}
	var rules []fakequant.Rule
	for _, text := range c.Rules {
		r, err := fakequant.ParseRule(text)
		if err != nil {
			return base, nil, err
		}
		rules = append(rules, r)
	}
	if c.Quant == Float && len(rules) > 0 {
		return base, nil, configError("rule %q: the run is float: name a scheme with --quant", c.Rules[0])
	}
	return base, rules, nil
}
