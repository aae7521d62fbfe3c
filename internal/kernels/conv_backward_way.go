package kernels

// The gradient of the input is computed in one of several ways: channel by channel if the convolution
// is depthwise, else by phases, by rows or by blocks.
type inputWay uint8

const (
	byPhases inputWay = iota
	byRows
	byBlocks
)

// inputWay returns the way that takes the least time by an estimate. It depends on the shape
// alone.
func (s *ConvShape) inputWay() inputWay {
	way, least := byPhases, s.phaseTime()*7/8
	if s.Groups > 1 {
		return way
	}
	rows := s.rowGradient()
	if t := rows.time(s); t < least {
		way, least = byRows, t
	}
	if blocks, ok := s.bestBlocks(); ok && blocks.time(s) < least {
		way = byBlocks
	}
	return way
}

// Times are in sixths of a cycle, fitted to measurements of the AVX2 kernels.

// productTime is what a product takes beside its tiles.
const productTime = 2400

// tileTime estimates what the tiles of a segment take, of m rows, n columns and k terms: a term
// is bound by the latency of sums, by multiplications (16 columns) or by loads (8).
func tileTime(m, n, k int) int {
	sum := 0
	for n > 0 {
		width, most, row := 16, 6, 6
		if n < 16 {
			width, most, row = 8, 8, 4
		}
		tiles := (m + most - 1) / most
		sum += tiles * (k*max(24, (m+tiles-1)/tiles*row) + 72)
		n -= width
	}
	return sum
}

// phaseTime estimates what an output row takes with a row of the kernel, by phases.
func (s *ConvShape) phaseTime() int {
	products := productTime * ((s.C + panelWidth - 1) / panelWidth)
	sum := 0
	for r := range s.StrideW {
		if p := s.phaseW(r); p.t1 > p.t0 {
			// A product covers all rows of the kernel in its phase.
			sum += tileTime(p.t1-p.t0, s.C, p.taps*s.O) + products*s.StrideH/(s.KH+s.StrideH-1)
		}
	}
	return sum
}
