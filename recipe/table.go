package recipe

import (
	"encoding/json"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// A Layer is one node of an integer model in a report. Pointers are nil where
// there is nothing of the kind: pools have no weights, accumulators no
// fractional length.
//
// A grid of dynamic fixed point has a fractional length, fl: its scale is 2^-fl.
// Any other has a scale and a zero point, and nil for a fractional length.
type Layer struct {
	Name string `json:"name"`
	Kind string `json:"kind"`

	WeightBits      *int      `json:"weight_bits"`
	WeightFL        *PerScale `json:"weight_fl"`
	WeightScale     *PerScale `json:"weight_scale,omitempty"`
	WeightZeroPoint *int      `json:"weight_zero_point,omitempty"`

	InBits      *int      `json:"in_bits"`
	InFL        *PerScale `json:"in_fl"`
	InScale     *PerScale `json:"in_scale,omitempty"`
	InZeroPoint *int      `json:"in_zero_point,omitempty"`

	OutBits      *int      `json:"out_bits"`
	OutFL        *PerScale `json:"out_fl"`
	OutScale     *PerScale `json:"out_scale,omitempty"`
	OutZeroPoint *int      `json:"out_zero_point,omitempty"`

	// Params is the number of weights and biases, MACs that of multiply-accumulates
	// for one image, Bytes what the constants take: packed weights, biases,
	// tables, requantizers.
	Params int   `json:"params"`
	MACs   int64 `json:"macs"`
	Bytes  int64 `json:"bytes"`
}

// PerScale is a number, or one for each output channel.
type PerScale []float64

// MarshalJSON writes a single number as a number and several as a list.
func (p PerScale) MarshalJSON() ([]byte, error) {
	if len(p) == 1 {
		return json.Marshal(p[0])
	}
	return json.Marshal([]float64(p))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *PerScale) UnmarshalJSON(text []byte) error {
	var one float64
	if json.Unmarshal(text, &one) == nil {
		*p = PerScale{one}
		return nil
	}
	return json.Unmarshal(text, (*[]float64)(p))
}

// Layers returns the rows of the report on a model, in its order.
func Layers(m *integer.Model) []Layer {
	rows := make([]Layer, len(m.Nodes))
	for i := range m.Nodes {
		n := &m.Nodes[i]
		r := &rows[i]
		r.Name, r.Kind = n.Name, n.Op.Kind()
		if len(n.In) > 0 {
			in := &m.Nodes[n.In[0]]
			r.InBits, r.InFL, r.InScale, r.InZeroPoint = describe(in.Grid)
		} else {
			bits := 8
			if r.Kind == "input_float" {
				bits = 32
			}
			r.InBits = &bits
		}
		r.OutBits, r.OutFL, r.OutScale, r.OutZeroPoint = describe(n.Grid)
		r.MACs = n.MACs()
		r.constants(n, m)
	}
	return rows
}

// describe splits a grid into the columns of a report.
func describe(g quant.Grid) (bits *int, fl, scale *PerScale, zero *int) {
	width := g.BitWidth
	var lengths, scales PerScale
	for c := range g.Scale {
		scales = append(scales, float64(g.Scale[c]))
		if k, ok := g.FL(c); ok {
			lengths = append(lengths, float64(k))
		}
	}
	if len(scales) == 0 {
		return &width, nil, nil, nil
	}
	if len(lengths) == len(scales) && g.ZeroPoint == 0 && !g.MidRise {
		return &width, &lengths, nil, nil
	}
	z := int(g.ZeroPoint)
	return &width, nil, &scales, &z
}

// constants fills in what a node holds.
func (r *Layer) constants(n *integer.Node, m *integer.Model) {
	switch o := n.Op.(type) {
	case *integer.Conv:
		r.weights(o.Weight, o.WeightGrid, o.Bias, o.Requant)
	case *integer.Linear:
		r.weights(o.Weight, o.WeightGrid, o.Bias, o.Requant)
	case *integer.Input:
		r.Bytes = 256 * int64(n.Out.C)
	case *integer.InputFloat:
		r.Bytes = 8 * int64(n.Out.C)
	case *integer.Table:
		r.Bytes = 1 << m.Nodes[n.In[0]].Out.Bits
	case *integer.Multiply:
		r.Bytes = requantizerBytes(o.Requant)
	case *integer.Requantize:
		r.Bytes = requantizerBytes(o.Requant)
	case *integer.Concat:
		for _, q := range o.Requant {
			r.Bytes += requantizerBytes(q)
		}
	}
}

func (r *Layer) weights(codes []int32, g quant.Grid, bias []int64, q *quant.Requantizer) {
	r.WeightBits, r.WeightFL, r.WeightScale, r.WeightZeroPoint = describe(g)
	r.Params = len(codes) + len(bias)
	r.Bytes = (int64(len(codes))*int64(g.BitWidth) + 7) / 8
	width := int64(4)
	for _, b := range bias {
		if b != int64(int32(b)) {
			width = 8
		}
	}
	r.Bytes += width*int64(len(bias)) + requantizerBytes(q)
}

// requantizerBytes counts a byte for a shift or an exponent and four for a
// multiplier or a mantissa.
func requantizerBytes(q *quant.Requantizer) int64 {
	if q == nil {
		return 0
	}
	return int64(len(q.Shift)) + 4*int64(len(q.Multiplier)) + 5*int64(len(q.Mantissa))
}
