package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Predicates of comparisons, as numbers of VCMPPS and VPCMPD.
const (
	less         = 1
	lessEqual    = 2
	unordered    = 3
	notLessEqual = 6
	ordered      = 7
	greater      = 14 // VCMPPS; VPCMPD has 6
)

// elementwise writes the float loops. Multiply and add are separate, so that the results
// are those of Go.
func elementwise(c *build.Context) {
	k := newRowKernel(c, "reluAVX512", "func(dst, x *float32, n int, limit float32)", "dst = min(max(x, 0), limit)")
	dst, x := k.walk("dst", 4), k.walk("x", 4)
	k.reluConstants16()
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.relu16()
		k.VMOVUPS(zmm(0), mask, at(dst))
	})
	k.RET()

	for _, add := range []bool{false, true} {
		name, doc := "reluBackwardAVX512", "dx = dy where 0 < y < limit, else 0"
		if add {
			name, doc = "reluBackwardAddAVX512", "dx += dy where 0 < y < limit"
		}
		k := newRowKernel(c, name, "func(dx, dy, y *float32, n int, limit float32)", doc)
		dx, dy, y := k.walk("dx", 4), k.walk("dy", 4), k.walk("y", 4)
		k.broadcast("limit", zmm(1))
		k.VPXORD(zmm(2), zmm(2), zmm(2))
		k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
			k.VMOVUPS_Z(at(y), mask, zmm(0))
			k.VCMPPS(Imm(greater), zmm(2), zmm(0), mask, reg.K3)
			k.VCMPPS(Imm(less), zmm(1), zmm(0), reg.K3, reg.K3)
			k.VMOVUPS_Z(at(dy), reg.K3, zmm(3))
			if add {
				k.VMOVUPS_Z(at(dx), mask, zmm(4))
				k.VADDPS(zmm(4), zmm(3), zmm(3))
			}
			k.VMOVUPS(zmm(3), mask, at(dx))
		})
		k.RET()
	}

	k = newRowKernel(c, "addAVX512", "func(dst, a, b *float32, n int)", "dst = a + b")
	dst, a, b := k.walk("dst", 4), k.walk("a", 4), k.walk("b", 4)
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(a), mask, zmm(0))
		k.VMOVUPS_Z(at(b), mask, zmm(1))
		k.VADDPS(zmm(1), zmm(0), zmm(0))
		k.VMOVUPS(zmm(0), mask, at(dst))
	})
	k.RET()

	k = newRowKernel(c, "axpyAVX512", "func(dst, x *float32, n int, alpha float32)", "dst += alpha·x")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.broadcast("alpha", zmm(2))
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.VMOVUPS_Z(at(dst), mask, zmm(1))
		k.VMULPS(zmm(2), zmm(0), zmm(0))
		k.VADDPS(zmm(0), zmm(1), zmm(1))
		k.VMOVUPS(zmm(1), mask, at(dst))
	})
	k.RET()

	k = newRowKernel(c, "scaleAVX512", "func(dst, x *float32, n int, alpha float32)", "dst = alpha·x")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.broadcast("alpha", zmm(2))
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.VMULPS(zmm(2), zmm(0), zmm(0))
		k.VMOVUPS(zmm(0), mask, at(dst))
	})
	k.RET()

	k = newRowKernel(c, "divideAVX512", "func(dst, x *float32, n int, divisor float32)", "dst = x / divisor")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.broadcast("divisor", zmm(2))
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.VDIVPS(zmm(2), zmm(0), zmm(0))
		k.VMOVUPS(zmm(0), mask, at(dst))
	})
	k.RET()

	k = newRowKernel(c, "scaleBiasAVX512", "func(dst, x, scale, bias *float32, pixels, channels int)", "dst = x·scale + bias, per channel")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	scale, bias := k.channels("scale", 4), k.channels("bias", 4)
	k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.VMOVUPS_Z(at(scale), mask, zmm(1))
		k.VMOVUPS_Z(at(bias), mask, zmm(2))
		k.VMULPS(zmm(1), zmm(0), zmm(0))
		k.VADDPS(zmm(2), zmm(0), zmm(0))
		k.VMOVUPS(zmm(0), mask, at(dst))
	})
	k.RET()

	k = newRowKernel(c, "mixAVX512", "func(dst, x, y, a, b, k *float32, pixels, channels int)", "dst = a·x + (b + k·y), per channel")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	y := k.walk("y", 4)
	a, b = k.channels("a", 4), k.channels("b", 4)
	factor := k.channels("k", 4)
	k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(y), mask, zmm(1))
		k.VMOVUPS_Z(at(factor), mask, zmm(2))
		k.VMOVUPS_Z(at(b), mask, zmm(3))
		k.VMULPS(zmm(2), zmm(1), zmm(1))
		k.VADDPS(zmm(3), zmm(1), zmm(1))
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.VMOVUPS_Z(at(a), mask, zmm(2))
		k.VMULPS(zmm(2), zmm(0), zmm(0))
		k.VADDPS(zmm(1), zmm(0), zmm(0))
		k.VMOVUPS(zmm(0), mask, at(dst))
	})
	k.RET()

	k = newRowKernel(c, "leakyReLUAVX512", "func(dst, x *float32, n int, slope float32)", "dst = x, or slope·x where x ≤ 0")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.broadcast("slope", zmm(1))
	k.VPXORD(zmm(2), zmm(2), zmm(2))
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.VCMPPS(Imm(lessEqual), zmm(2), zmm(0), mask, reg.K3)
		k.VMULPS(zmm(1), zmm(0), reg.K3, zmm(0))
		k.VMOVUPS(zmm(0), mask, at(dst))
	})
	k.RET()

	for _, add := range []bool{false, true} {
		name, doc := "leakyBackAVX512", "dx = dy where y > 0, else slope·dy"
		if add {
			name, doc = "leakyBackAddAVX512", "dx += dy where y > 0, else slope·dy"
		}
		k := newRowKernel(c, name, "func(dx, dy, y *float32, n int, slope float32)", doc)
		dx, dy, y := k.walk("dx", 4), k.walk("dy", 4), k.walk("y", 4)
		k.broadcast("slope", zmm(1))
		k.VPXORD(zmm(2), zmm(2), zmm(2))
		k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
			k.VMOVUPS_Z(at(y), mask, zmm(4))
			k.VCMPPS(Imm(greater), zmm(2), zmm(4), mask, reg.K3)
			k.VMOVUPS_Z(at(dy), mask, zmm(3))
			k.VMULPS(zmm(1), zmm(3), zmm(0))
			k.VMOVAPS(zmm(3), reg.K3, zmm(0))
			if add {
				k.VMOVUPS_Z(at(dx), mask, zmm(3))
				k.VADDPS(zmm(3), zmm(0), zmm(0))
			}
			k.VMOVUPS(zmm(0), mask, at(dx))
		})
		k.RET()
	}

	k = newRowKernel(c, "addReLUAVX512", "func(dst, a, b *float32, n int, limit float32)", "dst = min(max(a + b, 0), limit)")
	dst, a, b = k.walk("dst", 4), k.walk("a", 4), k.walk("b", 4)
	k.reluConstants16()
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(a), mask, zmm(0))
		k.VMOVUPS_Z(at(b), mask, zmm(3))
		k.VADDPS(zmm(3), zmm(0), zmm(0))
		k.relu16()
		k.VMOVUPS(zmm(0), mask, at(dst))
	})
	k.RET()

	for _, add := range []bool{false, true} {
		name, signature, doc := "scaleReLUAVX512", "func(dst, x, scale, bias *float32, pixels, channels int, limit float32)", "dst = min(max(x·scale + bias, 0), limit), per channel"
		if add {
			name, signature, doc = "scaleAddReLUAVX512", "func(dst, x, scale, bias, other *float32, pixels, channels int, limit float32)", "dst = min(max(x·scale + bias + other, 0), limit), per channel"
		}
		k := newRowKernel(c, name, signature, doc)
		dst, x := k.walk("dst", 4), k.walk("x", 4)
		scale, bias := k.channels("scale", 4), k.channels("bias", 4)
		var other *pointer
		if add {
			other = k.walk("other", 4)
		}
		k.reluConstants16()
		k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
			k.VMOVUPS_Z(at(x), mask, zmm(0))
			k.VMOVUPS_Z(at(scale), mask, zmm(3))
			k.VMOVUPS_Z(at(bias), mask, zmm(4))
			k.VMULPS(zmm(3), zmm(0), zmm(0))
			k.VADDPS(zmm(4), zmm(0), zmm(0))
			if add {
				k.VMOVUPS_Z(at(other), mask, zmm(3))
				k.VADDPS(zmm(3), zmm(0), zmm(0))
			}
			k.relu16()
			k.VMOVUPS(zmm(0), mask, at(dst))
		})
		k.RET()
	}
}

// reluConstants16 sets Z1 to the upper bound of relu16 and Z2 to zero.
func (k *rowKernel) reluConstants16() {
	k.broadcast("limit", zmm(1))
	k.VPXORD(zmm(2), zmm(2), zmm(2))
}

// relu16 sets Z0 to min(max(Z0, 0), limit).
func (k *rowKernel) relu16() {
	k.VMAXPS(zmm(0), zmm(2), zmm(0)) // the first operand here if one is NaN
	k.VADDPS(zmm(2), zmm(0), zmm(0)) // -0 becomes 0
	k.VMINPS(zmm(0), zmm(1), zmm(0))
}
