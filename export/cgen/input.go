package cgen

import (
	"math"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// input writes the look-up of pixels. The tables are computed here, from factor, offset and
// grid, and not copied from the model.
func (f *function) input(p *integer.Input) error {
	if err := f.checkRounding(p.Rounding); err != nil {
		return err
	}
	t := typeOf(f.node)
	codes := make([]int32, 0, 256*p.C)
	for c := range p.C {
		for v := range 256 {
			codes = append(codes, inputCode(float32(v), p.A[c], p.B[c], p.Grid, p.Rounding))
		}
	}
	f.codeArray(f.name+"_table", codes, t)
	f.other += len(codes) * t.bits / 8
	f.begin("pixels through one table per channel")
	f.line(1, "int32_t c, i;")
	f.loop(1, "c", p.C)
	f.loop(2, "i", p.H*p.W)
	f.line(3, "y[c * %d + i] = %s_table[c * 256 + (int32_t)image[i * %d + c]];", p.H*p.W, f.name, p.C)
	f.end()
	return nil
}

// roundings are the helpers of each rounding.
var roundings = map[quant.Rounding]string{
	quant.HalfEven: "round_even",
	quant.HalfUp:   "round_up",
	quant.HalfAway: "round_away",
	quant.Floor:    "floor",
}

func (f *function) checkRounding(r quant.Rounding) error {
	if _, ok := roundings[r]; !ok {
		return unsupported(f.node, "rounding %v", r)
	}
	return nil
}

// inputFloat writes the quantization of samples.
func (f *function) inputFloat(p *integer.InputFloat) error {
	if err := f.checkRounding(p.Rounding); err != nil {
		return err
	}
	f.floatArray(f.name+"_factor", p.A)
	f.floatArray(f.name+"_offset", p.B)
	lo, hi := codeRange(p.Grid)
	z := int64(p.Grid.ZeroPoint)
	low, high := float(float32(lo-z)), float(float32(hi-z))
	rounding := p.Rounding
	if p.Grid.MidRise {
		rounding = quant.Floor
	}
	round := f.use(roundings[rounding])
	steps := "v / " + float(p.Grid.Scale[0])
	if p.Grid.Reciprocal {
		steps = "v * " + float(1/p.Grid.Scale[0])
	}
	f.begin("samples to codes; what is no number becomes the code of zero")
	f.line(1, "int32_t c, i;")
	f.loop(1, "c", p.C)
	f.line(2, "for (i = 0; i < %d; i++) {", p.H*p.W)
	f.line(3, "float product = image[i * %d + c] * %s_factor[c];", p.C, f.name)
	f.line(3, "float v = product + %s_offset[c];", f.name)
	f.line(3, "float steps = %s;", steps)
	f.line(3, "int32_t q = 0;")
	f.line(3, "if (steps == steps)")
	f.line(4, "q = %s(steps < %s ? %s : steps > %s ? %s : steps);", round, low, low, high, high)
	f.line(3, "y[c * %d + i] = %s;", p.H*p.W, f.store("("+plus("q", z)+")"))
	f.line(2, "}")
	f.end()
	return nil
}

// inputCode returns the code of x on grid g after normalization, x·a + b with two
// roundings to float32.
func inputCode(x, a, b float32, g quant.Grid, r quant.Rounding) int32 {
	product := float32(x * a)
	v := product + b
	s := g.Scale[0]
	steps := v / s
	if g.Reciprocal {
		inverse := 1 / s
		steps = v * inverse
	}
	if steps != steps {
		return g.ZeroPoint
	}
	if g.MidRise {
		r = quant.Floor
	}
	lo, hi := codeRange(g)
	z := int64(g.ZeroPoint)
	rounded := roundTo(float64(steps), r) // float64 holds every float32 and its neighbours
	return int32(int64(min(max(rounded, float64(lo-z)), float64(hi-z))) + z)
}

// roundTo returns the integer next to x.
func roundTo(x float64, r quant.Rounding) float64 {
	down := math.Floor(x)
	rest := x - down
	switch {
	case r == quant.Floor || rest < 0.5:
		return down
	case rest > 0.5 || r == quant.HalfUp:
		return down + 1
	case r == quant.HalfAway:
		if x < 0 {
			return down
		}
		return down + 1
	}
	return 2 * math.Floor((down+1)/2) // the even one of down and down + 1
}
