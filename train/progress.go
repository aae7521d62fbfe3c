package train

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	// patience is how long work runs before a bar shows up.
	patience = 2 * time.Second
	// refresh is the least time between two changes of a bar.
	refresh = 200 * time.Millisecond
)

// bar shows on a terminal how far something is. It is nil elsewhere, and then
// does nothing. What it costs does not depend on how often it is told.
type bar struct {
	w     io.Writer
	label string
	total int64
	start time.Time
	from  int64 // what was done at the start
	next  time.Time
	line  *progressbar.ProgressBar
}

func newBar(w io.Writer, label string, total int64) *bar {
	if !isTerminal(w) {
		return nil
	}
	now := time.Now()
	return &bar{w: w, label: label, total: total, start: now, next: now.Add(patience)}
}

// isTerminal reports whether w is a character device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || f == nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// due reports whether the bar would be drawn now.
func (b *bar) due() bool { return b != nil && !time.Now().Before(b.next) }

// update draws the bar if it is time to.
func (b *bar) update(done int64, text string) {
	if !b.due() {
		return
	}
	now := time.Now()
	b.next = now.Add(refresh)
	if b.line == nil {
		b.line = progressbar.NewOptions64(b.total, progressbar.OptionSetWriter(b.w), progressbar.OptionSetWidth(24),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionThrottle(0),
			progressbar.OptionClearOnFinish(), progressbar.OptionShowDescriptionAtLineEnd())
	}
	rate := float64(done-b.from) / now.Sub(b.start).Seconds()
	b.line.Describe(fmt.Sprintf("%s %s%s", b.label, text, pace(rate, b.total-done)))
	b.line.Set64(done)
}

// println writes a line above the bar.
func (b *bar) println(text string) {
	if b.line != nil {
		b.line.Clear()
	}
	fmt.Fprintln(b.w, text)
}

// finish takes the bar off the screen.
func (b *bar) finish() {
	if b != nil && b.line != nil {
		b.line.Clear()
		b.line = nil
	}
}

// pace says how fast images go by and how long the rest takes.
func pace(rate float64, left int64) string {
	if !(rate > 0) {
		return ""
	}
	s := fmt.Sprintf("%.0f images/s", rate)
	if left > 0 {
		s += fmt.Sprintf(", %s left", round(time.Duration(float64(left)/rate*float64(time.Second))))
	}
	return s
}

// round drops digits of a duration that nobody reads.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// reporter tells a person how training goes.
type reporter struct {
	w     io.Writer
	bar   *bar
	start time.Time
	from  int64
	total int64
}

// newReporter starts the clock; done of total images were seen before.
func newReporter(w io.Writer, done, total int64) *reporter {
	r := &reporter{w: w, bar: newBar(w, "train", total), start: time.Now(), from: done, total: total}
	if r.bar != nil {
		r.bar.from = done
	}
	return r
}

func (r *reporter) say(format string, args ...any) {
	switch text := fmt.Sprintf(format, args...); {
	case r.w == nil:
	case r.bar != nil:
		r.bar.println(text)
	default:
		fmt.Fprintln(r.w, text)
	}
}

// step shows a step where there is a bar.
func (r *reporter) step(epoch, epochs int, images int64, loss, accuracy float64) {
	if r.bar.due() {
		r.bar.update(images, fmt.Sprintf("epoch %d/%d, loss %.4f, accuracy %.2f %%, ", epoch, epochs, loss, 100*accuracy))
	}
}

// rate returns the images per second since the start.
func (r *reporter) rate(images int64) float64 {
	return float64(images-r.from) / max(time.Since(r.start).Seconds(), 1e-9)
}

// epoch tells the result of an epoch.
func (r *reporter) epoch(e Epoch, epochs int, images int64, changes []FLChange) {
	if r.w == nil {
		return
	}
	text := fmt.Sprintf("epoch %d/%d (%s): loss %.4f, accuracy %.2f %%", e.Epoch, epochs, e.Phase, e.Loss, 100*e.Accuracy)
	if e.validated() {
		text += fmt.Sprintf(", validation loss %.4f, accuracy %.2f %%", e.ValidationLoss, 100*e.ValidationAccuracy)
	}
	text += fmt.Sprintf(", learning rate %.3g; %s", e.LearningRate, pace(r.rate(images), r.total-images))
	r.say("%s", text)
	const shown = 4
	for _, c := range changes[:min(len(changes), shown)] {
		r.say("  step %d: %s: fractional length %d -> %d", c.Step, c.Quantizer, c.From, c.To)
	}
	if n := len(changes) - shown; n > 0 {
		r.say("  and %d more changes of fractional lengths", n)
	}
}
