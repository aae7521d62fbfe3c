package train

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
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
	b.println("a line")
	if !strings.Contains(out.String(), "a line\n") {
		t.Errorf("the line is %q", out.String())
	}
	b.finish()
	if b.due(); b.line != nil {
		t.Error("the bar is still there")
	}
}
