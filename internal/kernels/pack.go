package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

var (
	packColumns   = packColumnsPortable
	packTapBlock  = packTapBlockPortable
	packQuads     = packQuadsPortable
	unpackColumns = unpackColumnsPortable
)

func init() {
	register("pack", cpu.Portable, func() {
		packColumns, packTapBlock, packQuads = packColumnsPortable, packTapBlockPortable, packQuadsPortable
	})
	register("unpack", cpu.Portable, func() { unpackColumns = unpackColumnsPortable })
}

// packColumnsPortable brings columns kernels [c][tap], one after the other in src, into the
// order [tap][c][column]. It goes through eight columns at a time: as many streams as a
// first-level cache keeps apart when their distance is a power of two.
func packColumnsPortable(dst, src []float32, width, columns, channels, taps int) {
	size := channels * taps
	o := 0
	for ; o+8 <= columns; o += 8 {
		s0, s1, s2, s3 := src[o*size:][:size], src[(o+1)*size:][:size], src[(o+2)*size:][:size], src[(o+3)*size:][:size]
		s4, s5, s6, s7 := src[(o+4)*size:][:size], src[(o+5)*size:][:size], src[(o+6)*size:][:size], src[(o+7)*size:][:size]
		i := 0
		for c := range channels {
			for t := range taps {
				d := dst[(t*channels+c)*width+o:][:8]
				d[0], d[1], d[2], d[3] = s0[i], s1[i], s2[i], s3[i]
				d[4], d[5], d[6], d[7] = s4[i], s5[i], s6[i], s7[i]
				i++
			}
		}
	}
	for ; o < columns; o++ {
		row := src[o*size:][:size]
		for c := range channels {
			for t := range taps {
				dst[(t*channels+c)*width+o] = row[c*taps+t]
			}
		}
	}
}

// A tapBlock is a part of the weights w [outputs][column][tap] on its way into rows of columns, one for each
// tap and output: n taps from the first one of w on.
type tapBlock struct {
	to             [16]int // where the rows of each tap begin: those of the outputs lie width elements apart
	n              int
	columns, width int
	outputs, step  int // of w, step elements apart
	taps           int // elements from one column of w to the next
}

func packTapBlockPortable(dst, w []float32, b tapBlock) {
	for o := range b.outputs {
		b.pack(dst, w, o, 0, b.n, 0)
	}
}

// pack brings the taps from first to before end of the columns from c on of one output into their places.
func (b *tapBlock) pack(dst, w []float32, o, first, end, c int) {
	if c == b.columns {
		return
	}
	for i, to := range b.to[first:end] {
		row, x := dst[to+o*b.width:][c:b.columns], w[o*b.step+c*b.taps+first+i:]
		if b.taps == 1 {
			copy(row, x)
			continue
		}
		for j := range row {
			row[j] = x[j*b.taps]
		}
	}
}

// packQuadsPortable brings columns rows of k codes each, one after the other in src, into the
// order [k/4][column][4]. Places of k that do not exist are left alone.
func packQuadsPortable(dst []int8, src []uint8, width, columns, k int) {
	for o := range columns {
		row := src[o*k:][:k]
		i := 0
		for ; i+4 <= k; i += 4 {
			q, d := row[i:i+4:i+4], dst[i*width+4*o:][:4]
			d[0], d[1], d[2], d[3] = int8(q[0]), int8(q[1]), int8(q[2]), int8(q[3])
		}
		for ; i < k; i++ {
			dst[i&^3*width+4*o+i&3] = int8(row[i])
		}
	}
}

// unpackColumnsPortable brings src in the order [tap][c][column] into that of kernels [c][tap], one
// for each column: the way back of packColumns.
func unpackColumnsPortable(dst, src []float32, columns, channels, taps int) {
	size := channels * taps
	for t := range taps {
		for c := range channels {
			row, i := src[(t*channels+c)*columns:][:columns], c*taps+t
			for o, v := range row {
				dst[o*size+i] = v
			}
		}
	}
}

// addColumns adds src in the order [tap][c][column] to dst in that of kernels [c][tap].
func addColumns(dst, src []float32, columns, channels, taps int) {
	size := channels * taps
	for t := range taps {
		for c := range channels {
			row, i := src[(t*channels+c)*columns:][:columns], c*taps+t
			for o, v := range row {
				dst[o*size+i] += v
			}
		}
	}
}
