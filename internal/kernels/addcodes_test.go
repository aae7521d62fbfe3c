package kernels

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

func TestAddShift(t *testing.T) {
	forEach(t, "add codes", func(t *testing.T) {
		r := testRand()
		for n := range 100 {
			for range 12 {
				rule := quant.AddShift{FA: int32(r.IntN(14)), FB: int32(r.IntN(14)), FY: int32(r.IntN(20)), Subtract: r.IntN(2) == 0, MidRise: r.IntN(3) == 0}
				if r.IntN(4) == 0 { // far apart
					rule.FA = 31
				}
				rule.Lo, rule.Hi, _ = clampRange(r)
				signedA, signedB := r.IntN(2) == 0, r.IntN(2) == 0
				a, qa := codesOf(r, n, signedA)
				b, qb := codesOf(r, n, signedB)
				dst := guard[uint8](n, 99, 1)
				AddShift(dst.in, a, b, signedA, signedB, &rule)
				for i := range a {
					if want := uint8(rule.Apply(qa[i], qb[i])); dst.in[i] != want {
						t.Fatalf("%+v: %d and %d give %d, want %d", rule, qa[i], qb[i], dst.in[i], want)
					}
				}
				dst.check(t, "add shift")
			}
		}
	})
}

func TestAddFloat(t *testing.T) {
	forEach(t, "add codes", func(t *testing.T) {
		r := testRand()
		for n := range 100 {
			for range 12 {
				rule := quant.AddFloat{Za: int32(r.IntN(64)), Zb: -int32(r.IntN(64)), MidRise: r.IntN(3) == 0}
				for _, m := range []*float32{&rule.Ma, &rule.Mb} {
					*m = float32(math.Ldexp(1, r.IntN(12)-8)) // powers of two make ties
					if r.IntN(2) == 0 {
						*m *= 1 + r.Float32()
					}
					if r.IntN(20) == 0 {
						*m = 0x1p120
					}
				}
				if r.IntN(2) == 0 {
					rule.Mb = -rule.Mb
				}
				rule.Lo, rule.Hi, rule.Zy = clampRange(r)
				signedA, signedB := r.IntN(2) == 0, r.IntN(2) == 0
				a, qa := codesOf(r, n, signedA)
				b, qb := codesOf(r, n, signedB)
				dst := guard[uint8](n, 99, 1)
				AddFloat(dst.in, a, b, signedA, signedB, &rule)
				for i := range a {
					if want := uint8(rule.Apply(qa[i], qb[i])); dst.in[i] != want {
						t.Fatalf("%+v: %d and %d give %d, want %d", rule, qa[i], qb[i], dst.in[i], want)
					}
				}
				dst.check(t, "add float")
			}
		}
	})
}

// Rows with gaps between them are what they are alone, and the gaps stay.
func TestAddRows(t *testing.T) {
	forEach(t, "add codes", func(t *testing.T) {
		r := testRand()
		shift := quant.AddShift{FA: 5, FB: 4, FY: 3, Lo: -128, Hi: 127}
		for n := range 100 {
			rows := r.IntN(4)
			float := quant.AddFloat{Za: 3, Zb: -5, Ma: 0.3, Mb: 0.7, Zy: 4, Lo: -128, Hi: 127, MidRise: n%2 == 0}
			var x [3]CodeRows
			for i := range x {
				step := n + r.IntN(5)
				x[i] = CodeRows{randomBytes(r, rows*step+1), step}
			}
			for name, add := range map[string]func(dst, a, b CodeRows, rows, n int){
				"shift": func(dst, a, b CodeRows, rows, n int) { AddShiftRows(dst, a, b, rows, n, true, true, &shift) },
				"float": func(dst, a, b CodeRows, rows, n int) { AddFloatRows(dst, a, b, rows, n, true, true, &float) },
			} {
				want := CodeRows{slices.Clone(x[0].Codes), x[0].Step}
				for i := range rows {
					add(CodeRows{want.row(i, n), n}, CodeRows{x[1].row(i, n), n}, CodeRows{x[2].row(i, n), n}, 1, n)
				}
				add(x[0], x[1], x[2], rows, n)
				equalSlices(t, fmt.Sprintf("%s: %d rows of %d", name, rows, n), x[0].Codes, want.Codes)
			}
		}
	})
}
