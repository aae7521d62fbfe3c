package hugepages_test

import (
	"testing"

	"github.com/bitgrad/bitgrad/internal/hugepages"
)

// Whatever the system makes of the advice, memory keeps what it holds and can be written: blocks below, at and above the
// size of a large page, from their first element and from one in the middle of a page.
func TestMemoryKeepsItsContents(t *testing.T) {
	for _, n := range []int{0, 1, 1<<18 - 1, 1 << 18, 1<<20 + 3} {
		for _, skip := range []int{0, 5} {
			all := make([]uint64, n+skip)
			for i := range all {
				all[i] = uint64(i)
			}
			hugepages.Advise(all[skip:])
			for i, v := range all {
				if v != uint64(i) {
					t.Fatalf("%d elements from %d on: element %d is %d", n, skip, i, v)
				}
				all[i] = 0
			}
		}
	}
}
