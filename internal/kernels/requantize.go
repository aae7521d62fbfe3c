package kernels

import (
	"fmt"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/quant"
)

// Requantization of whole rows: accumulators acc [pixels C], dense, become codes in
// bytes, signed ones as int8 bit patterns. Parameters have one entry per tensor or one
// per channel, and C divides len(acc). Each function equals quant.Requantizer.Apply,
// element by element, on every level.

// Requantize sets dst[i] to the code of acc[i] by the rule of r, whose clamp must fit
// into a byte.
func Requantize(dst []uint8, acc []int32, r *quant.Requantizer) {
	switch r.Rule {
	case quant.Shift:
		checkRow("requantize", len(dst), len(acc), len(r.Shift))
		if len(acc) > 0 {
			requantizeShift(dst, acc, r.Shift, r.Lo, r.Hi, r.MidRise)
		}
	case quant.Float:
		checkRow("requantize", len(dst), len(acc), len(r.Multiplier))
		if len(acc) > 0 {
			requantizeFloat(dst, acc, r.Multiplier, r.ZeroPoint, r.Lo, r.Hi, r.MidRise)
		}
	default:
		checkRow("requantize", len(dst), len(acc), len(r.Mantissa))
		if len(acc) > 0 {
			requantizeFixed(dst, acc, *r) // by value, which does not escape
		}
	}
}

// RequantizeRows is Requantize for rows of n accumulators, whose codes begin step elements apart. The parameters
// divide a row.
func RequantizeRows(dst []uint8, step int, acc []int32, n int, r *quant.Requantizer) {
	rows := 0
	if n > 0 {
		rows = len(acc) / n
	}
	if rows*n != len(acc) || step < n || rows > 0 && len(dst) < (rows-1)*step+n {
		panic(fmt.Sprintf("kernels: requantize: %d results, %d apart, for %d elements in rows of %d", len(dst), step, len(acc), n))
	}
	switch {
	case step == n:
		Requantize(dst, acc, r)
	case rows < 2 || !requantizeRows(dst, step, acc, n, r):
		for i := range rows {
			Requantize(dst[i*step:], acc[i*n:(i+1)*n], r)
		}
	}
}

// RequantizeShift sets dst[i] = clamp(⌊acc[i]·2^-n + ½⌋, lo, hi), n = shift[i mod C]
// from −31 to 31, see quant.RequantizeShift.
func RequantizeShift(dst []uint8, acc, shift []int32, lo, hi int32) {
	checkRow("requantize", len(dst), len(acc), len(shift))
	if len(acc) > 0 {
		requantizeShift(dst, acc, shift, lo, hi, false)
	}
}

// RequantizeFloat sets dst[i] = clamp(roundEven(float32(acc[i])·M) , lo−z, hi−z) + z,
// M = mult[i mod C] > 0, the clamp in float32.
func RequantizeFloat(dst []uint8, acc []int32, mult []float32, z, lo, hi int32) {
	checkRow("requantize", len(dst), len(acc), len(mult))
	if len(acc) > 0 {
		requantizeFloat(dst, acc, mult, z, lo, hi, false)
	}
}

// checkRow checks the lengths of a row and its parameters.
func checkRow(what string, dst, n, channels int) {
	if dst < n || channels == 0 || n%channels != 0 {
		panic(fmt.Sprintf("kernels: %s: %d results for %d elements of %d channels", what, dst, n, channels))
	}
}

var (
	requantizeShift = requantizeShiftPortable
	requantizeFloat = requantizeFloatPortable
	requantizeFixed = requantizeFixedPortable
)

func init() {
	register("requantize shift", cpu.Portable, func() { requantizeShift = requantizeShiftPortable })
	register("requantize float", cpu.Portable, func() { requantizeFloat = requantizeFloatPortable })
	register("requantize fixed", cpu.Portable, func() { requantizeFixed = requantizeFixedPortable })
}

// requantizeShiftPortable rounds half up or, for mid-rise outputs, down.
func requantizeShiftPortable(dst []uint8, acc, shift []int32, lo, hi int32, midRise bool) {
	lo64, hi64 := int64(lo), int64(hi)
	half := int64(1)
	if midRise {
		half = 0
	}
	for i := 0; i < len(acc); i += len(shift) {
		a := acc[i : i+len(shift)]
		d := dst[i : i+len(shift)]
		for c, n := range shift {
			v := int64(a[c])
			// An int32 shifted left by at most 31 fits into an int64.
			if n > 0 {
				v = (v + half<<(uint32(n-1)&31)) >> (uint32(n) & 31)
			} else {
				v <<= uint32(-n) & 31
			}
			d[c] = uint8(min(max(v, lo64), hi64))
		}
	}
}

// magic is 1.5·2^23: adding and subtracting it rounds a float32 of absolute value
// below 2^22 half to even.
const magic = 0x1.8p23

// requantizeFloatPortable rounds half to even or, for mid-rise outputs, down.
func requantizeFloatPortable(dst []uint8, acc []int32, mult []float32, z, lo, hi int32, midRise bool) {
	flo, fhi := float32(lo-z), float32(hi-z)
	for i := 0; i < len(acc); i += len(mult) {
		a := acc[i : i+len(mult)]
		d := dst[i : i+len(mult)]
		for c, m := range mult {
			// The ends are whole numbers, so clamping before rounding gives the same.
			v := min(max(float32(float32(a[c])*m), flo), fhi)
			even := float32(v+magic) - magic
			if midRise && even > v {
				even--
			}
			d[c] = uint8(int32(even) + z)
		}
	}
}

func requantizeFixedPortable(dst []uint8, acc []int32, r quant.Requantizer) {
	channels := len(r.Mantissa)
	for i := 0; i < len(acc); i += channels {
		for c, v := range acc[i : i+channels] {
			dst[i+c] = uint8(r.Apply(int64(v), c))
		}
	}
}
