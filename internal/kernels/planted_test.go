package kernels

import (
	"fmt"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

// A witness records the first complaint of a comparison.
type witness struct{}

type complaint string

func (witness) Helper()                           {}
func (witness) Fatal(args ...any)                 { panic(complaint(fmt.Sprint(args...))) }
func (witness) Fatalf(format string, args ...any) { panic(complaint(fmt.Sprintf(format, args...))) }

// caught returns what a comparison complains about.
func caught(compare func(t failer)) (text complaint) {
	defer func() {
		if r := recover(); r != nil {
			text = r.(complaint)
		}
	}()
	compare(witness{})
	return ""
}

// TestPlantedFaultsAreCaught replaces kernels by ones that are off by one at a tie, at an end,
// in one lane or in one sign: the comparison with the law that holds all variants of the
// kernel equal must complain.
func TestPlantedFaultsAreCaught(t *testing.T) {
	shift := func(t failer) { compareRequantize(t, drawShift(false, true)) }
	float := func(t failer) { compareRequantize(t, drawFloat(false, true)) }
	// requantized plants a requantization of single accumulators by a shift.
	requantized := func(apply func(acc int64, n, lo, hi int32) int32) func() {
		return func() {
			requantizeShift = func(dst []uint8, acc, shift []int32, lo, hi int32, _ bool) {
				for i, a := range acc {
					dst[i] = uint8(apply(int64(a), shift[i%len(shift)], lo, hi))
				}
			}
		}
	}
	// multiplied does the same for the rule of floats.
	multiplied := func(product func(acc int32, m float32) float32, r quant.Rounding) func() {
		return func() {
			requantizeFloat = func(dst []uint8, acc []int32, mult []float32, z, lo, hi int32, _ bool) {
				for i, a := range acc {
					v := r.Round32(product(a, mult[i%len(mult)]))
					dst[i] = uint8(int32(min(max(v, float32(lo-z)), float32(hi-z))) + z)
				}
			}
		}
	}
	once := func(acc int32, m float32) float32 { return float32(float32(acc) * m) }
	bits := func(inside func(v, first, last int32) bool) func() {
		return func() {
			passBits = func(bits []uint8, acc, first, last []int32) {
				clear(bits)
				for i, v := range acc {
					if inside(v, first[i%len(first)], last[i%len(last)]) {
						bits[i/8] |= 1 << (i % 8)
					}
				}
			}
		}
	}
	for _, fault := range []struct {
		name, kernel string
		plant        func()
		compare      func(t failer)
		right        bool // no fault: the planted kernel follows the law
	}{
		{"half up", "requantize shift", requantized(quant.RequantizeShift), shift, true},
		{"half down", "requantize shift", requantized(func(acc int64, n, lo, hi int32) int32 {
			if n > 0 {
				acc--
			}
			return quant.RequantizeShift(acc, n, lo, hi)
		}), shift, false},
		{"floor", "requantize shift", requantized(func(acc int64, n, lo, hi int32) int32 {
			if n > 0 {
				acc -= 1 << (n - 1)
			}
			return quant.RequantizeShift(acc, n, lo, hi)
		}), shift, false},
		{"half away from zero", "requantize shift", requantized(func(acc int64, n, lo, hi int32) int32 {
			if n > 0 && acc < 0 {
				acc--
			}
			return quant.RequantizeShift(acc, n, lo, hi)
		}), shift, false},
		{"the upper end is one lower", "requantize shift", requantized(func(acc int64, n, lo, hi int32) int32 {
			return quant.RequantizeShift(acc, n, lo, max(lo, hi-1))
		}), shift, false},
		{"a shift of one bit more", "requantize shift", requantized(func(acc int64, n, lo, hi int32) int32 {
			return quant.RequantizeShift(acc, min(n+1, 31), lo, hi)
		}), shift, false},
		{"sums of 32 bits", "requantize shift", requantized(func(acc int64, n, lo, hi int32) int32 {
			if n > 0 {
				acc = int64(int32(acc)+int32(1)<<(n-1)) - 1<<(n-1)
			}
			return quant.RequantizeShift(acc, n, lo, hi)
		}), shift, false},
		{"the last element is left out", "requantize shift", func() {
			requantizeShift = func(dst []uint8, acc, shift []int32, lo, hi int32, _ bool) {
				keep := dst[len(acc)-1]
				requantizeShiftPortable(dst, acc, shift, lo, hi, false)
				dst[len(acc)-1] = keep
			}
		}, shift, false},
		{"half to even", "requantize float", multiplied(once, quant.HalfEven), float, true},
		{"half up", "requantize float", multiplied(once, quant.HalfUp), float, false},
		{"half away from zero", "requantize float", multiplied(once, quant.HalfAway), float, false},
		{"floor", "requantize float", multiplied(once, quant.Floor), float, false},
		{"one rounding for two", "requantize float", multiplied(func(acc int32, m float32) float32 {
			return float32(float64(acc) * float64(m))
		}, quant.HalfEven), float, false},
		{"the zero point is forgotten", "requantize float", func() {
			requantizeFloat = func(dst []uint8, acc []int32, mult []float32, z, lo, hi int32, _ bool) {
				requantizeFloatPortable(dst, acc, mult, 0, lo, hi, false)
			}
		}, float, false},
		{"both ends pass", "pass bits", bits(func(v, first, last int32) bool { return first <= v && v <= last }), comparePassBits, true},
		{"the first one does not pass", "pass bits", bits(func(v, first, last int32) bool { return first < v && v <= last }), comparePassBits, false},
		{"the last one does not pass", "pass bits", bits(func(v, first, last int32) bool { return first <= v && v < last }), comparePassBits, false},
		{"everything passes", "pass bits", bits(func(v, first, last int32) bool { return true }), comparePassBits, false},
		{"the mask is forgotten", "pass bits", func() {
			selectBits = func(dst, src []float32, bits []uint8, add bool) {
				for i := range bits {
					bits[i] |= 1
				}
				selectBitsPortable(dst, src, bits, add)
			}
		}, comparePassBits, false},
		{"the sign is wrong", "pass bits", func() {
			selectBits = func(dst, src []float32, bits []uint8, add bool) {
				selectBitsPortable(dst, src, bits, add)
				for i := range dst {
					dst[i] = -dst[i]
				}
			}
		}, comparePassBits, false},
		{"ties go up", "quantize", func() {
			quantizeCodes = func(dst []uint8, x []float32, q quantizer) int {
				if q.rounding == quant.HalfEven {
					q.rounding = quant.HalfUp
				}
				return quantizeCodesPortable(dst, x, q)
			}
		}, compareQuantize, false},
		{"the lower end is one higher", "quantize", func() {
			quantizeCodes = func(dst []uint8, x []float32, q quantizer) int {
				q.lo = min(q.lo+1, q.hi)
				return quantizeCodesPortable(dst, x, q)
			}
		}, compareQuantize, false},
		{"a bad number is not counted", "quantize", func() {
			fakeQuantize = func(dst, x []float32, q quantizer) int { return max(fakeQuantizePortable(dst, x, q)-1, 0) }
		}, compareQuantize, false},
	} {
		t.Run(fault.kernel+"/"+fault.name, func(t *testing.T) {
			defer restore(fault.kernel)
			fault.plant()
			switch text := caught(fault.compare); {
			case fault.right && text != "":
				t.Errorf("a kernel that follows the law is called wrong: %s", text)
			case !fault.right && text == "":
				t.Error("nobody sees it")
			}
		})
	}
}
