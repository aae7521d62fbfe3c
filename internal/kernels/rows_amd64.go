//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

// A vector is a level whose kernels take rows of channels, at least least of them. They are
// called by name and not through variables, so that parameters on the stack stay there.
type vector struct {
	level cpu.ISA
	least int
}

var (
	avx2   = vector{cpu.AVX2, strip}
	avx512 = vector{cpu.AVX512, 1} // masks cover any number of elements
)

// A span is a part of the elements that one call covers: rows of channels from an index on.
type span struct{ from, pixels, channels int }

// equalChannels is how many channels a row has where one parameter serves all elements, and about
// how many where a few do.
const equalChannels = 64

// repeated fills row with parameters by turns and returns its first one.
func repeated[T any](row *[equalChannels]T, parameters []T) *T {
	for n := copy(row[:], parameters); n < len(row); {
		n += copy(row[n:], row[:n])
	}
	return &row[0]
}

// few says that split gathers rows of so many parameters, for which they must be repeated.
func (v vector) few(parameters int) bool { return parameters == 1 || parameters < v.least }

// split covers n elements with the given number of parameters; elements from tail on are
// left to the portable loop. Rows of few parameters are gathered to rows of about 64 elements, a
// multiple of eight, and a shorter one.
func (v vector) split(n, parameters int) (spans [2]span, tail int) {
	if !v.few(parameters) {
		spans[0] = span{0, n / parameters, parameters}
		return spans, n
	}
	row := equalChannels - equalChannels%(8*parameters)
	spans[0] = span{0, n / row, row}
	rest := n % row
	if rest >= v.least {
		spans[1] = span{n - rest, 1, rest}
		rest = 0
	}
	return spans, n - rest
}
