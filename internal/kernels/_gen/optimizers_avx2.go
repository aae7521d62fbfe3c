package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// optimizers8 writes the AVX2 forms of the optimizers' steps. They take a number of elements
// that is a multiple of 8 and not 0, multiply and add apart, and divide and take roots
// exactly: every element gets the bits of the portable loop.
func optimizers8(c *build.Context) {
	adam8(c)
	for _, nesterov := range []bool{false, true} {
		momentum8(c, nesterov)
	}
	squares8(c)
}

func adam8(c *build.Context) {
	k := newRowKernel(c, "adamAVX2", "func(value, grad, m, v *float32, n int, decay, keep, beta1, rest1, beta2, rest2, rate, root, eps float32)",
		"m and v are the moments of g = grad + decay·value; value = keep·value - rate·m/(√v/root + eps)")
	value, grad, m, v := k.walk("value", 4), k.walk("grad", 4), k.walk("m", 4), k.walk("v", 4)
	constants := []string{"decay", "keep", "beta1", "rest1", "beta2", "rest2", "rate", "root", "eps"}
	const decay, keep, beta1, rest1, beta2, rest2, rate, root, eps = 0, 1, 2, 3, 4, 5, 6, 7, 8
	for y, name := range constants {
		k.VBROADCASTSS(k.param(name), ymm(y))
	}
	const w, g, first, second, term = 9, 10, 11, 12, 13
	k.eights(func() {
		k.VMOVUPS(at(value), ymm(w))
		k.VMULPS(ymm(decay), ymm(w), ymm(g))
		k.VADDPS(at(grad), ymm(g), ymm(g))
		k.VMULPS(at(m), ymm(beta1), ymm(first))
		k.VMULPS(ymm(g), ymm(rest1), ymm(term))
		k.VADDPS(ymm(term), ymm(first), ymm(first))
		k.VMOVUPS(ymm(first), at(m))
		k.VMULPS(at(v), ymm(beta2), ymm(second))
		k.VMULPS(ymm(g), ymm(rest2), ymm(term))
		k.VMULPS(ymm(g), ymm(term), ymm(term))
		k.VADDPS(ymm(term), ymm(second), ymm(second))
		k.VMOVUPS(ymm(second), at(v))
		k.VSQRTPS(ymm(second), ymm(second))
		k.VDIVPS(ymm(root), ymm(second), ymm(second))
		k.VADDPS(ymm(eps), ymm(second), ymm(second))
		k.VMULPS(ymm(rate), ymm(first), ymm(first))
		k.VDIVPS(ymm(second), ymm(first), ymm(first))
		k.VMULPS(ymm(keep), ymm(w), ymm(w))
		k.VSUBPS(ymm(first), ymm(w), ymm(w))
		k.VMOVUPS(ymm(w), at(value))
	})
}

func momentum8(c *build.Context, nesterov bool) {
	name, doc := "momentumAVX2", "g = grad + decay·value; v = mu·v + g; value -= rate·v"
	if nesterov {
		name, doc = "nesterovAVX2", "g = grad + decay·value; v = mu·v + g; value -= rate·(g + mu·v)"
	}
	k := newRowKernel(c, name, "func(value, grad, v *float32, n int, decay, mu, rate float32)", doc)
	value, grad, v := k.walk("value", 4), k.walk("grad", 4), k.walk("v", 4)
	const decay, mu, rate, w, g, speed = 0, 1, 2, 3, 4, 5
	for y, name := range []string{"decay", "mu", "rate"} {
		k.VBROADCASTSS(k.param(name), ymm(y))
	}
	k.eights(func() {
		k.VMOVUPS(at(value), ymm(w))
		k.VMULPS(ymm(decay), ymm(w), ymm(g))
		k.VADDPS(at(grad), ymm(g), ymm(g))
		k.VMULPS(at(v), ymm(mu), ymm(speed))
		k.VADDPS(ymm(g), ymm(speed), ymm(speed))
		k.VMOVUPS(ymm(speed), at(v))
		if nesterov {
			k.VMULPS(ymm(mu), ymm(speed), ymm(speed))
			k.VADDPS(ymm(g), ymm(speed), ymm(speed))
		}
		k.VMULPS(ymm(rate), ymm(speed), ymm(speed))
		k.VSUBPS(ymm(speed), ymm(w), ymm(w))
		k.VMOVUPS(ymm(w), at(value))
	})
}

func squares8(c *build.Context) {
	k := newRowKernel(c, "squaresAVX2", "func(sum *float64, x *float32, n int)", "sum[l] = Σ x[i]² over i ≡ l mod 4")
	sum := k.load("sum")
	x := k.walk("x", 4)
	k.VXORPD(ymm(0), ymm(0), ymm(0))
	k.eachEight(func() {
		for half := range 2 {
			k.VCVTPS2PD(at(x).Offset(16*half), ymm(1))
			k.VMULPD(ymm(1), ymm(1), ymm(1))
			k.VADDPD(ymm(1), ymm(0), ymm(0))
		}
	})
	k.VMOVUPD(ymm(0), Mem{Base: sum})
	k.VZEROUPPER()
	k.RET()
}

// eights runs body for eight of n elements at a time and returns.
func (k *rowKernel) eights(body func()) {
	k.eachEight(body)
	k.VZEROUPPER()
	k.RET()
}

// eachEight runs body for eight of n elements at a time.
func (k *rowKernel) eachEight(body func()) {
	var index, n reg.Register = k.GP64(), k.load("n")
	for _, p := range k.pointers {
		p.index = index
	}
	k.XORQ(index, index)
	loop := k.label("eight")
	k.Label(loop)
	body()
	k.ADDQ(Imm(8), index)
	k.CMPQ(index, n)
	k.JLT(LabelRef(loop))
}
