package train

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"

	"github.com/bitgrad/bitgrad/autograd"
)

// Epoch is what one epoch came to.
type Epoch struct {
	// Epoch counts from 1; Steps is the number of steps done at its end.
	Epoch int
	Steps int64
	// Phase is the mode of its last step, [autograd.Train] or [autograd.Frozen].
	Phase autograd.Mode
	// Loss and Accuracy are means over the training images as they went by, each
	// seen by the network of its own step, in training mode.
	Loss, Accuracy float64
	// ValidationLoss and ValidationAccuracy are those of the network at the end;
	// NaN without a validation set.
	ValidationLoss, ValidationAccuracy float64
	// LearningRate is that of the last step.
	LearningRate float64
}

// validated reports whether the epoch has a validation accuracy.
func (e Epoch) validated() bool { return !math.IsNaN(e.ValidationAccuracy) }

var metricsHeader = []string{"epoch", "step", "phase", "loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate"}

// formatMetrics writes one line per epoch. Numbers take as many digits as they
// need to be read back exactly; what was not measured is empty.
func formatMetrics(epochs []Epoch) []byte {
	return formatCSV(metricsHeader, len(epochs), func(i int) []string {
		e := epochs[i]
		return []string{strconv.Itoa(e.Epoch), strconv.FormatInt(e.Steps, 10), e.Phase.String(), number(e.Loss), number(e.Accuracy),
			number(e.ValidationLoss), number(e.ValidationAccuracy), number(e.LearningRate)}
	})
}

func number(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func parseMetrics(text []byte) ([]Epoch, error) {
	var epochs []Epoch
	err := parseCSV(text, metricsHeader, func(f *fields) {
		epochs = append(epochs, Epoch{Epoch: int(f.integer()), Steps: f.integer(), Phase: f.phase(), Loss: f.number(), Accuracy: f.number(),
			ValidationLoss: f.number(), ValidationAccuracy: f.number(), LearningRate: f.number()})
	})
	return epochs, err
}

// FLChange is a change of the fractional length of a power-of-two grid.
type FLChange struct {
	// Step is the first step, from 1, that ran with the new length.
	Step int64
	// Quantizer is the name of the tensor: "conv1 weights".
	Quantizer string
	// Channel is the output channel; 0 where all share one length.
	Channel  int
	From, To int
}

var flHeader = []string{"step", "quantizer", "channel", "from", "to"}

func formatFL(changes []FLChange) []byte {
	return formatCSV(flHeader, len(changes), func(i int) []string {
		c := changes[i]
		return []string{strconv.FormatInt(c.Step, 10), c.Quantizer, strconv.Itoa(c.Channel), strconv.Itoa(c.From), strconv.Itoa(c.To)}
	})
}

func parseFL(text []byte) ([]FLChange, error) {
	var changes []FLChange
	err := parseCSV(text, flHeader, func(f *fields) {
		changes = append(changes, FLChange{Step: f.integer(), Quantizer: f.next(), Channel: int(f.integer()), From: int(f.integer()), To: int(f.integer())})
	})
	return changes, err
}

func formatCSV(header []string, rows int, row func(i int) []string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(header) // to a buffer: it cannot fail
	for i := range rows {
		w.Write(row(i))
	}
	w.Flush()
	return b.Bytes()
}

// fields reads the fields of one line from left to right; the first mistake
// sticks.
type fields struct {
	text []string
	err  error
}

func (f *fields) next() string {
	s := f.text[0]
	f.text = f.text[1:]
	return s
}

func (f *fields) fail(err error) {
	if f.err == nil && err != nil {
		f.err = err
	}
}

func (f *fields) integer() int64 {
	v, err := strconv.ParseInt(f.next(), 10, 64)
	f.fail(err)
	return v
}

func (f *fields) number() float64 {
	s := f.next()
	if s == "" {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(s, 64)
	f.fail(err)
	return v
}

func (f *fields) phase() autograd.Mode {
	s := f.next()
	for _, m := range []autograd.Mode{autograd.Train, autograd.Frozen} {
		if m.String() == s {
			return m
		}
	}
	f.fail(fmt.Errorf("phase %q", s))
	return autograd.Train
}

func parseCSV(text []byte, header []string, row func(*fields)) error {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = len(header)
	lines, err := r.ReadAll()
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return fmt.Errorf("no header")
	}
	for i, name := range header {
		if lines[0][i] != name {
			return fmt.Errorf("column %d is %q, not %q", i+1, lines[0][i], name)
		}
	}
	for i, line := range lines[1:] {
		f := &fields{text: line}
		if row(f); f.err != nil {
			return fmt.Errorf("line %d: %w", i+2, f.err)
		}
	}
	return nil
}
