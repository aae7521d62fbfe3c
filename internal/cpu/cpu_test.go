package cpu

import (
	"os"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		wish string
		best ISA
		want ISA
		err  string
	}{
		{"", AVX512, AVX512, ""},
		{"", Portable, Portable, ""},
		{"portable", VNNI, Portable, ""},
		{"avx2", VNNI, AVX2, ""},
		{"avx512", AVX512, AVX512, ""},
		{"vnni", AVX512, AVX512, "BITGRAD_CPU=vnni: this program can use at most avx512 here"},
		{"vnni", AMX, VNNI, ""},
		{"amx", AMX, AMX, ""},
		{"amx", VNNI, VNNI, "BITGRAD_CPU=amx: this program can use at most vnni here"},
		{"sse", VNNI, VNNI, "BITGRAD_CPU=sse: must be portable, avx2, avx512, vnni or amx"},
	} {
		t.Run(c.wish+"/"+c.best.String(), func(t *testing.T) {
			got := choose(c.wish, c.best)
			if got.level != c.want {
				t.Errorf("level %v, want %v", got.level, c.want)
			}
			if c.err == "" && got.err != nil || c.err != "" && (got.err == nil || !strings.Contains(got.err.Error(), c.err)) {
				t.Errorf("error %v, want %q", got.err, c.err)
			}
		})
	}
}

func TestParseReadsWhatStringWrites(t *testing.T) {
	for i := Portable; i <= AMX; i++ {
		if got, err := Parse(i.String()); got != i || err != nil {
			t.Errorf("Parse(%q) = %v, %v", i.String(), got, err)
		}
	}
	if _, err := Parse(""); err == nil {
		t.Error("Parse of the empty name succeeded")
	}
}

func TestLevelObeysEnvironment(t *testing.T) {
	if want := choose(os.Getenv(Variable), Best()); Level() != want.level || (Err() == nil) != (want.err == nil) {
		t.Errorf("Level %v, Err %v, want %v, %v", Level(), Err(), want.level, want.err)
	}
}
