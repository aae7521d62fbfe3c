package integer

import "slices"

// Interpret runs one image through the formulas of the ops, one nested loop after
// another, in int64. It is the slow twin of the engine, made to be checked against,
// and shares with it only package quant. image is [H W C]. each, if not nil, is called for
// every node in order with its codes, [C H W]; they must not be modified. The
// result is those of the output.
func Interpret(m *Model, image []uint8, each func(node int, codes []int64)) ([]int64, error) {
	p, ok := m.Input().Op.(*Input)
	if !ok {
		return nil, m.wrongInput("uint8 pixels")
	}
	return interpret(m, image, each, func(v uint8, c int) int32 { return p.table[c][v] })
}

// InterpretFloat is Interpret for a model that takes float32 samples.
func InterpretFloat(m *Model, image []float32, each func(node int, codes []int64)) ([]int64, error) {
	p, ok := m.Input().Op.(*InputFloat)
	if !ok {
		return nil, m.wrongInput("float32 samples")
	}
	return interpret(m, image, each, p.code)
}

func interpret[S uint8 | float32](m *Model, image []S, each func(int, []int64), code func(S, int) int32) ([]int64, error) {
	t := m.Input().Out
	if len(image) != t.Len() {
		return nil, inputError("%d values: one image of [%d %d %d] has %d", len(image), t.H, t.W, t.C, t.Len())
	}
	codes := make([][]int64, len(m.Nodes))
	for c := range t.C {
		for h := range t.H {
			for w := range t.W {
				codes[0] = append(codes[0], int64(code(image[(h*t.W+w)*t.C+c], c)))
			}
		}
	}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		if i > 0 {
			x := make([][]int64, len(n.In))
			for k, j := range n.In {
				x[k] = codes[j]
			}
			codes[i] = n.Op.interpret(n, m.operands(i), x)
		}
		if each != nil {
			each(i, codes[i])
		}
	}
	return slices.Clone(codes[m.Output]), nil
}
