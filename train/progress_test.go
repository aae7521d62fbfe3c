package train

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bitgrad/bitgrad/datasets"
)

func TestBar(t *testing.T) {
	var out bytes.Buffer
	if newBar(&out, "x", 10) != nil || newBar(nil, "x", 10) != nil || newBar((*os.File)(nil), "x", 10) != nil {
		t.Error("there is a bar without a terminal")
	}
	var none *bar
	none.update(3, "") // must not matter
	none.finish()

	past := time.Now().Add(-10 * time.Second)
	b := &bar{w: &out, label: "train", total: 1000, start: past, from: 100, next: past}
	b.update(600, "epoch 1/2, ")
	text := out.String()
	if !strings.Contains(text, "train epoch 1/2, 50 images/s, 8s left") || !strings.Contains(text, "60%") {
		t.Errorf("the bar is %q", text)
	}
	out.Reset()
	b.update(700, "")
	if out.Len() != 0 {
		t.Errorf("drawn again at once: %q", out.String())
	}
	b.clock, b.next = &clock{spent: time.Second, images: 70}, past
	b.update(800, "")
	if text := out.String(); !strings.Contains(text, "train 70 images/s, 2.9s left") {
		t.Errorf("the bar with a clock is %q", text)
	}
	b.println("a line")
	if !strings.Contains(out.String(), "a line\n") {
		t.Errorf("the line is %q", out.String())
	}
	b.finish()
	if b.due(); b.line != nil {
		t.Error("the bar is still there")
	}
}

// slow is a data set that takes its time.
type slow struct {
	datasets.Dataset
	each  time.Duration
	slept *time.Duration
}

func (s slow) Read(dst *datasets.Batch, indices []int) error {
	start := time.Now()
	time.Sleep(s.each)
	*s.slept += time.Since(start)
	return s.Dataset.Read(dst, indices)
}

// TestImagesPerSecond validates for much longer than it trains: the rate is that of the steps.
func TestImagesPerSecond(t *testing.T) {
	var out bytes.Buffer
	var slept time.Duration
	opt := Options{Epochs: 2, Batch: 10, Optimizer: sgd(0.1), FrozenEpochs: 1, Dir: t.TempDir(), CheckpointSteps: 2, Progress: &out,
		Validation: slow{bars(t, 10, 2), 100 * time.Millisecond, &slept}}
	start := time.Now()
	r := fit(t, convNet(t, 1), bars(t, 30, 1), opt)
	if least := 60 / (time.Since(start) - slept).Seconds(); r.ImagesPerSecond < least {
		t.Errorf("%v images/s, want at least %v", r.ImagesPerSecond, least)
	}
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		_, text, _ := strings.Cut(line, "; ")
		var rate, seconds float64
		if n, _ := fmt.Sscanf(text, "%f images/s in training, %fs to compile, validate and save", &rate, &seconds); n != 2 || rate <= 300 || seconds < 0.1 {
			t.Errorf("an epoch of 30 images, of which validation alone took 0.1 s: %q", text)
		}
	}
}

func TestClock(t *testing.T) {
	var c clock
	now := time.Now()
	if c.rate(now) != 0 {
		t.Error("a rate before there are images")
	}
	c = clock{spent: 2 * time.Second, images: 100}
	if got := c.rate(now); got != 50 {
		t.Errorf("%v images/s at rest, want 50", got)
	}
	c.stop() // it stands still already
	if got := c.rate(now); got != 50 {
		t.Errorf("%v images/s, want 50", got)
	}
	c.begun = now.Add(-3 * time.Second)
	if got := c.rate(now); got != 20 {
		t.Errorf("%v images/s while it runs, want 20", got)
	}
	if c.stop(); c.spent < 5*time.Second || !c.begun.IsZero() {
		t.Errorf("stopped at %v", c.spent)
	}
}
