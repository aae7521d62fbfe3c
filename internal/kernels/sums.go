package kernels

import "math/bits"

// ChannelMoments adds Σ x to sum[c] and Σ x² to square[c] over the pixels of images
// n0..n1-1 of x, in float64 and in the order of n, h, w. Squares of float32 are exact
// in float64.
func ChannelMoments(sum, square []float64, x []float32, l Layout, n0, n1 int) {
	ChannelProducts(sum, square, x, l, x, l, n0, n1)
}

// ChannelProducts adds Σ a to sum[c] and Σ a·b to product[c] over the pixels of images
// n0..n1-1 of a and b, in float64 and in the order of n, h, w.
func ChannelProducts(sum, product []float64, a []float32, al Layout, b []float32, bl Layout, n0, n1 int) {
	sum, product = sum[:al.C], product[:al.C]
	if al.W == 0 || al.C == 0 {
		return
	}
	for n := n0; n < n1; n++ {
		for h := range al.H {
			ra, rb := a[al.Row(n, h):al.At(n, h, al.W-1, al.C)], b[bl.Row(n, h):bl.At(n, h, al.W-1, al.C)]
			rowProducts(sum, product, ra, al.SW, rb, bl.SW, al.W)
		}
	}
}

// rowProductsPortable adds a to sum and a·b to product for each of the pixels of a row.
func rowProductsPortable(sum, product []float64, a []float32, astep int, b []float32, bstep, pixels int) {
	product = product[:len(sum)]
	for w := range pixels {
		pa, pb := a[w*astep:][:len(sum)], b[w*bstep:][:len(sum)]
		for c, v := range pa {
			sum[c] += float64(v)
			product[c] += float64(float64(v) * float64(pb[c]))
		}
	}
}

// AccMoments holds exact sums of the accumulators of each channel and of their
// squares. As they are integers, neither the order of the additions nor the split over
// workers can change them. Up to 2^31 accumulators per channel fit.
type AccMoments struct {
	Count int64
	Sum   []int64
	// Sums of the lower and upper 32 bits of the squares: Σ v² = High·2^32 + Low.
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
	checkRow("moments", len(acc), len(acc), len(m.Sum))
	if len(acc) > 0 {
		addAccumulators(m, acc)
		m.Count += int64(len(acc) / len(m.Sum))
	}
}

func addAccumulatorsPortable(m *AccMoments, acc []int32) {
	channels := len(m.Sum)
	high, low := m.High[:channels], m.Low[:channels]
	for i := 0; i < len(acc); i += channels {
		for c, v := range acc[i : i+channels] {
			m.Sum[c] += int64(v)
			square := uint64(int64(v) * int64(v))
			low[c] += square & (1<<32 - 1)
			high[c] += square >> 32
		}
	}
}

// Merge takes in all that o has taken in.
func (m *AccMoments) Merge(o *AccMoments) {
	m.Count += o.Count
	for c, v := range o.Sum {
		m.Sum[c] += v
		m.Low[c] += o.Low[c]
		m.High[c] += o.High[c]
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
	// Σv² in 128 bits, then N·Σv² in 192. (Σv)² ≤ N·Σv² needs 128.
	low, carry := bits.Add64(m.High[c]<<32, m.Low[c], 0)
	high := m.High[c]>>32 + carry
	p1, p0 := bits.Mul64(low, n)
	p3, p2 := bits.Mul64(high, n)
	p1, carry = bits.Add64(p1, p2, 0)
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
