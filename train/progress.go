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
	from  int64  // what was done at the start
	clock *clock // tells the rate; nil: what was done since the start
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
	overall := float64(done-b.from) / now.Sub(b.start).Seconds()
	rate := overall
	if b.clock != nil {
		rate = b.clock.rate(now)
	}
	b.line.Describe(fmt.Sprintf("%s %s%s%s", b.label, text, speed(rate), remaining(overall, b.total-done)))
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

// speed says how fast images go by.
func speed(rate float64) string {
	if !(rate > 0) {
		return ""
	}
	return fmt.Sprintf("%.0f images/s", rate)
}

// remaining says how long the rest takes, "" for none.
func remaining(rate float64, left int64) string {
	if !(rate > 0) || left <= 0 {
		return ""
	}
	return fmt.Sprintf(", %s left", round(time.Duration(float64(left)/rate*float64(time.Second))))
}

// round drops digits of a duration that nobody reads.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// A clock measures how fast images go by while it runs.
type clock struct {
	begun  time.Time // zero while it stands still
	spent  time.Duration
	images int64
}

func (c *clock) start() { c.begun = time.Now() }

func (c *clock) stop() {
	if !c.begun.IsZero() {
		c.spent += time.Since(c.begun)
		c.begun = time.Time{}
	}
}

// rate returns images per second, 0 before there are any.
func (c *clock) rate(now time.Time) float64 {
	spent := c.spent
	if !c.begun.IsZero() {
		spent += now.Sub(c.begun)
	}
	if c.images == 0 || spent <= 0 {
		return 0
	}
	return float64(c.images) / spent.Seconds()
}

// reporter tells a person how training goes.
type reporter struct {
	w     io.Writer
	bar   *bar
	start time.Time
	from  int64
	total int64
	// steps runs during the steps of the epoch, and not while programs are compiled, networks
	// validated or files written; before has the epochs before.
	steps, before clock
	epochStart    time.Time
}

// newReporter starts the clock; done of total images were seen before.
func newReporter(w io.Writer, done, total int64) *reporter {
	now := time.Now()
	r := &reporter{w: w, bar: newBar(w, "train", total), start: now, epochStart: now, from: done, total: total}
	if r.bar != nil {
		r.bar.from, r.bar.clock = done, &r.steps
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

// apart does what is no step, with the clock at rest.
func (r *reporter) apart(do func() error) error {
	r.steps.stop()
	defer r.steps.start()
	return do()
}

// step counts the images of a step, done in all, and shows it where there is a bar.
func (r *reporter) step(epoch, epochs int, images, done int64, loss, accuracy float64) {
	r.steps.images += images
	if r.bar.due() {
		r.bar.update(done, fmt.Sprintf("epoch %d/%d, loss %.4f, accuracy %.2f %%, ", epoch, epochs, loss, 100*accuracy))
	}
}

// rate returns the images per second of all steps.
func (r *reporter) rate() float64 {
	all := clock{spent: r.before.spent + r.steps.spent, images: r.before.images + r.steps.images}
	return all.rate(time.Time{})
}

// epoch tells the result of an epoch and begins the next.
func (r *reporter) epoch(e Epoch, epochs int, done int64, changes []FLChange) {
	now := time.Now()
	rate, besides := r.steps.rate(now), now.Sub(r.epochStart)-r.steps.spent
	r.before.spent += r.steps.spent
	r.before.images += r.steps.images
	r.steps, r.epochStart = clock{}, now
	if r.w == nil {
		return
	}
	text := fmt.Sprintf("epoch %d/%d (%s): loss %.4f, accuracy %.2f %%", e.Epoch, epochs, e.Phase, e.Loss, 100*e.Accuracy)
	if e.validated() {
		text += fmt.Sprintf(", validation loss %.4f, accuracy %.2f %%", e.ValidationLoss, 100*e.ValidationAccuracy)
	}
	text += fmt.Sprintf(", learning rate %.3g; ", e.LearningRate)
	if rate > 0 { // there are no steps where a run was resumed behind them
		text += speed(rate) + " in training, "
	}
	overall := float64(done-r.from) / max(now.Sub(r.start).Seconds(), 1e-9)
	r.say("%s%s to compile, validate and save%s", text, round(besides), remaining(overall, r.total-done))
	const shown = 4
	for _, c := range changes[:min(len(changes), shown)] {
		r.say("  step %d: %s: fractional length %d -> %d", c.Step, c.Quantizer, c.From, c.To)
	}
	if n := len(changes) - shown; n > 0 {
		r.say("  and %d more changes of fractional lengths", n)
	}
}
