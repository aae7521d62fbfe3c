//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func transposeAVX2(dst, src *uint32, to, from *[8]int)

func init() {
	register("pack", cpu.AVX2, func() {
		packColumns, packTapBlock, packQuads = packColumns8, packTapBlock8, packQuadsPortable
	})
	register("unpack", cpu.AVX2, func() { unpackColumns = unpackColumns8 })
}

// A tapOrder enumerates the elements of kernels [c][tap]. Element c·taps + tap is row
// tap·channels + c of the order [tap][c].
type tapOrder struct{ channels, taps, c, tap int }

// next returns the row of the next element.
func (t *tapOrder) next() int {
	row := t.tap*t.channels + t.c
	if t.tap++; t.tap == t.taps {
		t.tap = 0
		t.c++
	}
	return row
}

// rows returns where the rows of the next eight elements begin, in bytes; rows have step
// elements of 32 bits.
func (t *tapOrder) rows(step int) (rows [8]int) {
	for i := range rows {
		rows[i] = t.next() * 4 * step
	}
	return rows
}

// apart returns where eight rows begin that lie step bytes apart.
func apart(step int) (rows [8]int) {
	for i := range rows {
		rows[i] = i * step
	}
	return rows
}

func packColumns8(dst, src []float32, width, columns, channels, taps int) {
	size := channels * taps
	_, _ = dst[(size-1)*width+columns-1], src[columns*size-1]
	from := apart(4 * size)
	o := 0
	for ; o+8 <= columns; o += 8 {
		order, i := tapOrder{channels: channels, taps: taps}, 0
		for ; i+8 <= size; i += 8 {
			to := order.rows(width)
			transposeAVX2(word(&dst[o]), word(&src[o*size+i]), &to, &from)
		}
		for ; i < size; i++ {
			d := dst[(i%taps*channels+i/taps)*width+o:][:8]
			for j := range d {
				d[j] = src[(o+j)*size+i]
			}
		}
	}
	if o < columns {
		packColumnsPortable(dst[o:], src[o*size:], width, columns-o, channels, taps)
	}
}

func packTapBlock8(dst, w []float32, b tapBlock) {
	from := apart(4 * b.taps)
	whole, end := b.columns&^7, b.n&^7
	if whole == 0 {
		end = 0
	}
	for o := range b.outputs {
		for first := 0; first < end; first += 8 {
			var to [8]int
			for i, at := range b.to[first : first+8] {
				_ = dst[at+o*b.width+whole-1]
				to[i] = 4 * at
			}
			x := w[o*b.step+first:][:(whole-1)*b.taps+8]
			for c := 0; c < whole; c += 8 {
				transposeAVX2(word(&dst[o*b.width+c]), word(&x[c*b.taps]), &to, &from)
			}
		}
		b.pack(dst, w, o, 0, end, whole)
		b.pack(dst, w, o, end, b.n, 0)
	}
}

func unpackColumns8(dst, src []float32, columns, channels, taps int) {
	size := channels * taps
	_, _ = dst[columns*size-1], src[size*columns-1]
	to := apart(4 * size)
	o := 0
	for ; o+8 <= columns; o += 8 {
		order, i := tapOrder{channels: channels, taps: taps}, 0
		for ; i+8 <= size; i += 8 {
			from := order.rows(columns)
			transposeAVX2(word(&dst[o*size+i]), word(&src[o]), &to, &from)
		}
		for ; i < size; i++ {
			for j, v := range src[(i%taps*channels+i/taps)*columns+o:][:8] {
				dst[(o+j)*size+i] = v
			}
		}
	}
	for ; o < columns; o++ {
		d := dst[o*size:][:size]
		for i := range d {
			d[i] = src[(i%taps*channels+i/taps)*columns+o]
		}
	}
}
