package host

import (
	"strings"
	"testing"
)

func TestProcessor(t *testing.T) {
	if name := Processor(); name == "" || strings.TrimSpace(name) != name {
		t.Errorf("%q", name)
	}
}

// TestPeakRSS takes 64 MiB and expects the peak to tell.
func TestPeakRSS(t *testing.T) {
	before := PeakRSS()
	if before == 0 {
		t.Skip("the system does not tell")
	}
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 1 << 12 {
		block[i] = 1
	}
	after := PeakRSS()
	if after < 64<<20 || after > before+256<<20 {
		t.Errorf("%d bytes before, %d with %d more", before, after, len(block))
	}
}
