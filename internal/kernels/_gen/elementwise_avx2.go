package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// elementwise8 writes the AVX2 forms of elementwise.
func elementwise8(c *build.Context) {
	k := newRowKernel(c, "reluAVX2", "func(dst, x *float32, n int, limit float32)", "dst = min(max(x, 0), limit)")
	dst, x := k.walk("dst", 4), k.walk("x", 4)
	k.reluConstants()
	k.strips(8, nil, k.load("n"), func(reg.Register) {
		k.VMOVUPS(at(x), ymm(0))
		k.relu8()
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()

	for _, add := range []bool{false, true} {
		name, doc := "reluBackwardAVX2", "dx = dy where 0 < y < limit, else 0"
		if add {
			name, doc = "reluBackwardAddAVX2", "dx += dy where 0 < y < limit"
		}
		k := newRowKernel(c, name, "func(dx, dy, y *float32, n int, limit float32)", doc)
		dx, dy, y := k.walk("dx", 4), k.walk("dy", 4), k.walk("y", 4)
		k.VBROADCASTSS(k.param("limit"), ymm(1))
		k.VXORPS(ymm(2), ymm(2), ymm(2))
		k.strips(8, nil, k.load("n"), func(reg.Register) {
			k.VMOVUPS(at(y), ymm(0))
			k.VCMPPS(Imm(greater), ymm(2), ymm(0), ymm(3))
			k.VCMPPS(Imm(less), ymm(1), ymm(0), ymm(0))
			k.VANDPS(ymm(3), ymm(0), ymm(0))
			k.VANDPS(at(dy), ymm(0), ymm(0))
			if add {
				k.VADDPS(at(dx), ymm(0), ymm(0))
			}
		}, func() { k.VMOVUPS(ymm(0), at(dx)) })
		k.RET()
	}

	k = newRowKernel(c, "addAVX2", "func(dst, a, b *float32, n int)", "dst = a + b")
	dst, a, b := k.walk("dst", 4), k.walk("a", 4), k.walk("b", 4)
	k.strips(8, nil, k.load("n"), func(reg.Register) {
		k.VMOVUPS(at(a), ymm(0))
		k.VADDPS(at(b), ymm(0), ymm(0))
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()

	k = newRowKernel(c, "axpyAVX2", "func(dst, x *float32, n int, alpha float32)", "dst += alpha·x")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.VBROADCASTSS(k.param("alpha"), ymm(2))
	k.strips(8, nil, k.load("n"), func(reg.Register) {
		k.VMULPS(at(x), ymm(2), ymm(0))
		k.VADDPS(at(dst), ymm(0), ymm(0))
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()

	k = newRowKernel(c, "scaleAVX2", "func(dst, x *float32, n int, alpha float32)", "dst = alpha·x")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.VBROADCASTSS(k.param("alpha"), ymm(2))
	k.strips(8, nil, k.load("n"), func(reg.Register) { k.VMULPS(at(x), ymm(2), ymm(0)) }, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()

	k = newRowKernel(c, "scaleBiasAVX2", "func(dst, x, scale, bias *float32, pixels, channels int)", "dst = x·scale + bias, per channel")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	scale, bias := k.channels("scale", 4), k.channels("bias", 4)
	k.strips(8, k.load("pixels"), k.load("channels"), func(reg.Register) {
		k.VMOVUPS(at(x), ymm(0))
		k.VMULPS(at(scale), ymm(0), ymm(0))
		k.VADDPS(at(bias), ymm(0), ymm(0))
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()

	k = newRowKernel(c, "mixAVX2", "func(dst, x, y, a, b, k *float32, pixels, channels int)", "dst = a·x + (b + k·y), per channel")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	y := k.walk("y", 4)
	a, b = k.channels("a", 4), k.channels("b", 4)
	factor := k.channels("k", 4)
	k.strips(8, k.load("pixels"), k.load("channels"), func(reg.Register) {
		k.VMOVUPS(at(y), ymm(1))
		k.VMULPS(at(factor), ymm(1), ymm(1))
		k.VADDPS(at(b), ymm(1), ymm(1))
		k.VMOVUPS(at(x), ymm(0))
		k.VMULPS(at(a), ymm(0), ymm(0))
		k.VADDPS(ymm(1), ymm(0), ymm(0))
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()

	k = newRowKernel(c, "leakyReLUAVX2", "func(dst, x *float32, n int, slope float32)", "dst = x, or slope·x where x ≤ 0")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.VBROADCASTSS(k.param("slope"), ymm(1))
	k.VXORPS(ymm(2), ymm(2), ymm(2))
	k.strips(8, nil, k.load("n"), func(reg.Register) {
		k.VMOVUPS(at(x), ymm(0))
		k.VMULPS(ymm(1), ymm(0), ymm(3))
		k.VCMPPS(Imm(lessEqual), ymm(2), ymm(0), ymm(4))
		k.VBLENDVPS(ymm(4), ymm(3), ymm(0), ymm(0))
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()

	for _, add := range []bool{false, true} {
		name, doc := "leakyBackAVX2", "dx = dy where y > 0, else slope·dy"
		if add {
			name, doc = "leakyBackAddAVX2", "dx += dy where y > 0, else slope·dy"
		}
		k := newRowKernel(c, name, "func(dx, dy, y *float32, n int, slope float32)", doc)
		dx, dy, y := k.walk("dx", 4), k.walk("dy", 4), k.walk("y", 4)
		k.VBROADCASTSS(k.param("slope"), ymm(1))
		k.VXORPS(ymm(2), ymm(2), ymm(2))
		k.strips(8, nil, k.load("n"), func(reg.Register) {
			k.VMOVUPS(at(y), ymm(4))
			k.VCMPPS(Imm(greater), ymm(2), ymm(4), ymm(4))
			k.VMOVUPS(at(dy), ymm(3))
			k.VMULPS(ymm(1), ymm(3), ymm(0))
			k.VBLENDVPS(ymm(4), ymm(3), ymm(0), ymm(0))
			if add {
				k.VADDPS(at(dx), ymm(0), ymm(0))
			}
		}, func() { k.VMOVUPS(ymm(0), at(dx)) })
		k.RET()
	}

	k = newRowKernel(c, "addReLUAVX2", "func(dst, a, b *float32, n int, limit float32)", "dst = min(max(a + b, 0), limit)")
	dst, a, b = k.walk("dst", 4), k.walk("a", 4), k.walk("b", 4)
	k.reluConstants()
	k.strips(8, nil, k.load("n"), func(reg.Register) {
		k.VMOVUPS(at(a), ymm(0))
		k.VADDPS(at(b), ymm(0), ymm(0))
		k.relu8()
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()

	for _, add := range []bool{false, true} {
		name, signature, doc := "scaleReLUAVX2", "func(dst, x, scale, bias *float32, pixels, channels int, limit float32)", "dst = min(max(x·scale + bias, 0), limit), per channel"
		if add {
			name, signature, doc = "scaleAddReLUAVX2", "func(dst, x, scale, bias, other *float32, pixels, channels int, limit float32)", "dst = min(max(x·scale + bias + other, 0), limit), per channel"
		}
		k := newRowKernel(c, name, signature, doc)
		dst, x := k.walk("dst", 4), k.walk("x", 4)
		scale, bias := k.channels("scale", 4), k.channels("bias", 4)
		var other *pointer
		if add {
			other = k.walk("other", 4)
		}
		k.reluConstants()
		k.strips(8, k.load("pixels"), k.load("channels"), func(reg.Register) {
			k.VMOVUPS(at(x), ymm(0))
			k.VMULPS(at(scale), ymm(0), ymm(0))
			k.VADDPS(at(bias), ymm(0), ymm(0))
			if add {
				k.VADDPS(at(other), ymm(0), ymm(0))
			}
			k.relu8()
		}, func() { k.VMOVUPS(ymm(0), at(dst)) })
		k.RET()
	}

	k = newRowKernel(c, "divideAVX2", "func(dst, x *float32, n int, divisor float32)", "dst = x / divisor")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.VBROADCASTSS(k.param("divisor"), ymm(2))
	k.strips(8, nil, k.load("n"), func(reg.Register) {
		k.VMOVUPS(at(x), ymm(0))
		k.VDIVPS(ymm(2), ymm(0), ymm(0))
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()
}

// reluConstants sets Y1 to the upper bound of relu8 and Y2 to zero.
func (k *rowKernel) reluConstants() {
	k.VBROADCASTSS(k.param("limit"), ymm(1))
	k.VXORPS(ymm(2), ymm(2), ymm(2))
}

// relu8 sets Y0 to min(max(Y0, 0), limit).
func (k *rowKernel) relu8() {
	k.VMAXPS(ymm(0), ymm(2), ymm(0)) // the first operand here if one is NaN
	k.VADDPS(ymm(2), ymm(0), ymm(0)) // -0 becomes 0
	k.VMINPS(ymm(0), ymm(1), ymm(0))
}
