package kernels

// Loops over rows of few channels are short. Where rows are dense, parameters that are repeated
// for some pixels make longer ones of them.

// repeatedElements is about how many elements of a row share one round of parameters.
const repeatedElements = 64

// RepeatedPixels returns for how many pixels of a row of the given width parameters are repeated:
// a divisor of the width, so that they cover at most 64 elements if they can.
func RepeatedPixels(width, channels int) int {
	pixels := width
	for pixels > 1 && (width%pixels != 0 || pixels*channels > repeatedElements) {
		pixels--
	}
	return pixels
}

// Repeat copies the first n elements of x to the rest; n divides its length.
func Repeat[E any](x []E, n int) {
	for i := n; i < len(x); i += n {
		copy(x[i:i+n], x[:n])
	}
}
