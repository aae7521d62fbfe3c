package kernels

import "math/bits"

// ChannelMoments adds Σ x to sum[c] and Σ x² to square[c] over the pixels of images
// n0..n1-1 of x, in float64 and in the order of n, h, w. Squares of float32 are exact
// in float64.
func ChannelMoments(sum, square []float64, x []float32, l Layout, n0, n1 int) {
	sum, square = sum[:l.C], square[:l.C]
	for n := n0; n < n1; n++ {
		for h := range l.H {
			for w := range l.W {
				for c, v := range x[l.At(n, h, w, 0):][:l.C] {
					f := float64(v)
					sum[c] += f
					square[c] += float64(f * f)
				}
			}
		}
	}
}

// ChannelProducts adds Σ a to sum[c] and Σ a·b to product[c] over the pixels of images
// n0..n1-1 of a and b, in float64 and in the order of n, h, w.
func ChannelProducts(sum, product []float64, a []float32, al Layout, b []float32, bl Layout, n0, n1 int) {
	sum, product = sum[:al.C], product[:al.C]
	for n := n0; n < n1; n++ {
		for h := range al.H {
			for w := range al.W {
				pa, pb := a[al.At(n, h, w, 0):][:al.C], b[bl.At(n, h, w, 0):][:al.C]
				for c, v := range pa {
					sum[c] += float64(v)
					product[c] += float64(float64(v) * float64(pb[c]))
				}
			}
		}
	}
}

// AccMoments holds exact sums of the accumulators of each channel and of their
// squares. As they are integers, neither the order of the additions nor the split over
// workers can change them.
type AccMoments struct {
	Count int64
	Sum   []int64
	// The 128-bit sums of the squares.
	High, Low []uint64
}

// NewAccMoments returns empty moments of c channels.
func NewAccMoments(c int) *AccMoments {
	return &AccMoments{Sum: make([]int64, c), High: make([]uint64, c), Low: make([]uint64, c)}
}

// Reset empties the moments.
func (m *AccMoments) Reset() {
	m.Count = 0
	clear(m.Sum)
	clear(m.High)
	clear(m.Low)
}

// Add takes in a row of accumulators [pixels C].
func (m *AccMoments) Add(acc []int32) {
	channels := len(m.Sum)
	checkRow("moments", len(acc), len(acc), channels)
	high, low := m.High[:channels], m.Low[:channels]
	for i := 0; i < len(acc); i += channels {
		for c, v := range acc[i : i+channels] {
			m.Sum[c] += int64(v)
			var carry uint64
			low[c], carry = bits.Add64(low[c], uint64(int64(v)*int64(v)), 0)
			high[c] += carry
		}
	}
	m.Count += int64(len(acc) / channels)
}

// Merge takes in all that o has taken in.
func (m *AccMoments) Merge(o *AccMoments) {
	m.Count += o.Count
	for c, v := range o.Sum {
		m.Sum[c] += v
		var carry uint64
		m.Low[c], carry = bits.Add64(m.Low[c], o.Low[c], 0)
		m.High[c] += o.High[c] + carry
	}
}

// MeanVariance returns mean and biased variance of channel c, each rounded once or
// twice: the numerator of the variance, N·Σv² − (Σv)², is exact. Both are 0 if nothing was
// taken in.
func (m *AccMoments) MeanVariance(c int) (mean, variance float64) {
	if m.Count == 0 {
		return 0, 0
	}
	n := uint64(m.Count)
	// N·Σv² in 192 bits. (Σv)² ≤ N·Σv² needs 128.
	p1, p0 := bits.Mul64(m.Low[c], n)
	p3, p2 := bits.Mul64(m.High[c], n)
	p1, carry := bits.Add64(p1, p2, 0)
	p3 += carry
	s := uint64(m.Sum[c])
	if m.Sum[c] < 0 {
		s = -s
	}
	s1, s0 := bits.Mul64(s, s)
	p0, borrow := bits.Sub64(p0, s0, 0)
	p1, borrow = bits.Sub64(p1, s1, borrow)
	p3 -= borrow
	numerator := (float64(p3)*0x1p64+float64(p1))*0x1p64 + float64(p0)
	return float64(m.Sum[c]) / float64(n), numerator / float64(n) / float64(n)
}
