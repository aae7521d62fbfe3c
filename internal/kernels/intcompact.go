package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

// Weights that have four bits or two can wait in as many: a panel is unpacked into scratch, next to the
// registers, before the pixels of a band are multiplied with it. 32 packed bytes hold as many bytes of two or
// four vectors: byte i those at i, from the lowest bits on.

// compactVector is the number of bytes that are unpacked at once, compactBlock that of the weights that they hold at most.
const compactVector, compactBlock = 32, 4 * 32

// compactPanel bounds the bytes of a panel that is unpacked, which is to stay in the cache.
const compactPanel = 32 << 10

// unpackBits sets byte i of part j of each block of dst to bits width·j to width·(j + 1) − 1 of byte i of the vector of
// src that holds it, sign-extended.
var unpackBits = unpackBitsPortable

func init() {
	register("compact", cpu.Portable, func() { unpackBits = unpackBitsPortable })
}

// Compact stores packed weights of at most four bits in four or two bits each, where they lie in panels that are not too
// large. It allocates, is for weights that stay, and makes Rows need the scratch of Room.
func (p *IntWeights) Compact() {
	if p.width < 8 || p.panel == 0 || p.panel > compactPanel {
		return
	}
	width := 2
	for _, w := range p.data[:p.all] {
		if w < -8 || w > 7 {
			return
		}
		if w < -2 || w > 1 {
			width = 4
		}
	}
	p.data, p.order, p.width = packBits(p.data[:p.all], width), nil, width
	p.room = ceil(p.panel, compactBlock) + compactBlock // a panel may begin and end inside of blocks
}

// Room returns the bytes of scratch that Rows needs beside those of ScratchLen, for compact weights to be unpacked into.
func (p *IntWeights) Room() int { return p.room }

// packBits returns weights with so many bits each.
func packBits(weights []int8, width int) []int8 {
	parts := 8 / width
	packed := make([]int8, ceil(len(weights), compactVector*parts)/parts)
	for i, w := range weights {
		at, part := i/(compactVector*parts)*compactVector+i%compactVector, i/compactVector%parts
		packed[at] |= int8(uint8(w) & (1<<width - 1) << (part * width))
	}
	return packed
}

func unpackBitsPortable(dst, src []int8, width int) {
	const n = compactVector
	for ; len(src) > 0; src = src[n:] {
		if width == 4 {
			d0, d1 := dst[:n], dst[n:2*n]
			for i, v := range src[:n] {
				d0[i], d1[i] = v<<4>>4, v>>4
			}
			dst = dst[2*n:]
			continue
		}
		d0, d1, d2, d3 := dst[:n], dst[n:2*n], dst[2*n:3*n], dst[3*n:4*n]
		for i, v := range src[:n] {
			d0[i], d1[i], d2[i], d3[i] = v<<6>>6, v<<4>>6, v<<2>>6, v>>6
		}
		dst = dst[4*n:]
	}
}

// A panelReader goes through packed weights panel by panel.
type panelReader struct {
	data  []int8
	width int    // bits of a weight
	room  []int8 // for a panel of compact weights
	at    int    // weights that were read
}

// panels returns a reader, and the scratch that it leaves.
func (p *IntWeights) panels(scratch []uint8) (panelReader, []uint8) {
	r := panelReader{data: p.data, width: p.width}
	if p.room > 0 {
		if len(scratch) < p.room {
			panic("kernels: integer conv: the scratch is too short")
		}
		r.room = unsafe.Slice((*int8)(unsafe.Pointer(&scratch[0])), p.room)
	}
	return r, scratch[p.room:]
}

// next returns the next panel, of n bytes. A compact one is lost at the next call.
func (r *panelReader) next(n int) []int8 {
	at := r.at
	r.at += n
	if r.width == 8 {
		return r.data[at:r.at]
	}
	block := compactVector * 8 / r.width
	first, last := at/block, ceil(r.at, block)/block
	unpackBits(r.room, r.data[first*compactVector:last*compactVector], r.width)
	return r.room[at%block:][:n]
}
