package kernels

import (
	"fmt"
	"testing"
)

// compactWidth returns in how many bits Compact is to store weights.
func compactWidth(p *IntWeights, w []uint8) int {
	most := 0 // with the bits of a negative number inverted
	for _, v := range w {
		most = max(most, int(int8(v)), -1-int(int8(v)))
	}
	switch inPanels := p.form == panelForm || p.form == narrowForm || p.form == tileForm; {
	case !inPanels || most > 7 || p.panel > compactPanel:
		return 8
	case most > 1:
		return 4
	}
	return 2
}

// Compact weights in every order of the rows and panels that meet them.
func TestIntConvCompact(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		r := testRand()
		for _, shape := range []ConvShape{
			{C: 100, O: 70, KH: 1, KW: 1, H: 1, W: 64}, // linear
			{C: 1030, O: 18, KH: 1, KW: 1, H: 1, W: 5}, // a panel too large for GEMM8
			{C: 24, O: 100, KH: 1, KW: 1, H: 1, W: 1},
			{C: 12, O: 30, Groups: 3, KH: 1, KW: 1, H: 3, W: 7}, // panels that begin inside of blocks
			{C: 12, O: 9, Groups: 3, KH: 3, KW: 3, H: 5, W: 6},
			{C: 20, O: 80, Groups: 2, KH: 2, KW: 3, PadTop: 1, PadLeft: 1, H: 6, W: 5},
			{C: 8, O: 40, KH: 3, KW: 3, DilH: 2, PadTop: 2, H: 8, W: 9},
			{C: 8, O: 17, KH: 3, KW: 2, StrideH: 2, StrideW: 2, DilW: 2, H: 9, W: 10},
			{C: 3, O: 35, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, H: 30, W: 90}, // woven
			{C: 1, O: 12, KH: 5, KW: 5, PadTop: 2, PadBottom: 2, StrideH: 2, H: 40, W: 60},
			{C: 40, O: 24, KH: 3, KW: 1, H: 21, W: 90}, // several bands
			{C: 24, O: 50, KH: 3, KW: 3, PadTop: 1, PadRight: 1, H: 9, W: 41},
		} {
			if err := shape.Complete(); err != nil {
				t.Fatal(err)
			}
			for _, o := range []operands{{8, 7, false}, {8, 7, true}, {8, 1, false}, {4, 1, true}} {
				for _, gap := range []int{0, 3} {
					testIntConv(t, r, shape, o, gap)
				}
			}
		}
	})
}

// Weights of four and of two bits are those that were packed, in whole blocks and in part of one.
func TestPackBits(t *testing.T) {
	forEach(t, "compact", func(t *testing.T) {
		r := testRand()
		for _, width := range []int{4, 2} {
			for n := 1; n <= 3*compactBlock; n++ {
				weights := make([]int8, n)
				for i := range weights {
					weights[i] = int8(r.IntN(1<<width) - 1<<(width-1))
				}
				packed := packBits(weights, width)
				if whole := ceil(n, compactVector*8/width); len(packed) != whole*width/8 {
					t.Fatalf("%d weights of %d bits are packed into %d bytes", n, width, len(packed))
				}
				got := guard[int8](len(packed)*8/width, 99, 5)
				unpackBits(got.in, packed, width)
				name := fmt.Sprintf("%d weights of %d bits", n, width)
				got.check(t, name)
				equalSlices(t, name, got.in[:n], weights)
			}
		}
	})
}
