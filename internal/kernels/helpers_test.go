package kernels

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

// forEach runs f once per variant of a kernel, with the kernel switched to it.
// Variants that the machine lacks are skipped by name, unless
// BITGRAD_REQUIRE_VARIANTS says that it must have all of them.
func forEach(t *testing.T, kernel string, f func(t *testing.T)) {
	t.Helper()
	t.Cleanup(func() { restore(kernel) })
	found := false
	for _, v := range variants {
		if v.kernel != kernel {
			continue
		}
		found = true
		t.Run(v.needs.String(), func(t *testing.T) {
			if v.needs > cpu.Best() {
				if os.Getenv("BITGRAD_REQUIRE_VARIANTS") != "" {
					t.Fatalf("this machine offers %v only", cpu.Best())
				}
				t.Skipf("this machine offers %v only", cpu.Best())
			}
			v.use()
			f(t)
		})
	}
	if !found {
		t.Fatalf("no variant of %q", kernel)
	}
}

// restore switches a kernel back to its best variant for the level.
func restore(kernel string) { use(kernel, chosen[kernel]) }

// use switches a kernel to one of its variants.
func use(kernel string, needs cpu.ISA) {
	for _, v := range variants {
		if v.kernel == kernel && v.needs == needs {
			v.use()
		}
	}
}

// Whatever the order of the files, each kernel begins with its best variant.
func TestBestVariantIsChosen(t *testing.T) {
	best := map[string]cpu.ISA{}
	for _, v := range variants {
		if v.needs <= cpu.Level() {
			best[v.kernel] = max(best[v.kernel], v.needs)
		}
	}
	for kernel, want := range best {
		if got := chosen[kernel]; got != want {
			t.Errorf("%s uses %v, want %v", kernel, got, want)
		}
	}
}

// A failer is told of a difference: a test, or a witness where faults are planted.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func testRand() *rand.Rand { return rand.New(rand.NewPCG(7, 11)) }

// smallInts returns n whole numbers of absolute value up to limit: sums of products of
// such numbers are exact in float32, in any order.
func smallInts(r *rand.Rand, n, limit int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.IntN(2*limit+1) - limit)
	}
	return x
}

func normals(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// A guarded slice has a margin of known values on each side; it ends where its
// capacity ends, so that a kernel cannot reach the margin by slicing.
type guarded[T comparable] struct {
	all    []T
	in     []T
	margin T
}

const margin = 37 // odd, so that vectors are not aligned

func guard[T comparable](n int, fill, value T) guarded[T] {
	all := slices.Repeat([]T{fill}, n+2*margin)
	g := guarded[T]{all: all, in: all[margin : margin+n : margin+n], margin: fill}
	for i := range g.in {
		g.in[i] = value
	}
	return g
}

func (g guarded[T]) check(t failer, name string) {
	t.Helper()
	for i, v := range g.all {
		if (i < margin || i >= margin+len(g.in)) && v != g.margin {
			t.Fatalf("%s: element %d outside of %d was written: %v", name, i-margin, len(g.in), v)
		}
	}
}

func equalSlices[T comparable](t failer, name string, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: element %d of %d is %v, want %v", name, i, len(got), got[i], want[i])
		}
	}
}
