package export

import (
	"reflect"
	"slices"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// possible returns, for every node of a model, the codes that it may have whatever
// the image; nil stands for accumulators.
func possible(m *integer.Model) [][]int64 {
	all := make([][]int64, len(m.Nodes))
	for i, n := range m.Nodes {
		var in []int64
		if len(n.In) > 0 {
			in = all[n.In[0]]
		}
		codes := map[int64]bool{}
		between := func(lo, hi int32) {
			for q := lo; q <= hi; q++ {
				codes[int64(q)] = true
			}
		}
		switch op := n.Op.(type) {
		case *integer.Input:
			for _, table := range op.Table() {
				for _, q := range table {
					codes[int64(q)] = true
				}
			}
		case *integer.Table:
			for _, table := range op.Codes {
				for _, q := range in {
					codes[int64(table[q-int64(m.Nodes[n.In[0]].Grid.QMin())])] = true
				}
			}
		case *integer.Concat:
			for k, j := range n.In {
				for _, q := range all[j] {
					codes[recoded(op.Requant[k], m.Nodes[j].Grid, q)] = true
				}
			}
		case *integer.Requantize:
			for _, q := range in {
				codes[recoded(op.Requant, m.Nodes[n.In[0]].Grid, q)] = true
			}
		case *integer.Pad:
			codes[int64(n.Grid.ZeroPoint)] = true
			for _, q := range in {
				codes[q] = true
			}
		case *integer.MaxPool, *integer.Slice, *integer.Reshape:
			for _, q := range in {
				codes[q] = true
			}
		default:
			if n.Out.Accumulator() {
				continue
			}
			between(n.Grid.QMin(), n.Grid.QMax())
		}
		for q := range codes {
			all[i] = append(all[i], q)
		}
		slices.Sort(all[i])
	}
	return all
}

func recoded(r *quant.Requantizer, g quant.Grid, q int64) int64 {
	if r == nil {
		return q
	}
	return int64(r.Apply(q-int64(g.ZeroPoint), 0))
}

// same reports whether op computes what the operation at node i does, from all
// operands that can occur: then no image tells the two apart.
func same(m *integer.Model, codes [][]int64, i int, op integer.Op) bool {
	n := &m.Nodes[i]
	if reflect.DeepEqual(n.Op, op) {
		return true
	}
	operand := func(k int) (quant.Grid, []int64) { return m.Nodes[n.In[k]].Grid, codes[n.In[k]] }
	switch was := n.Op.(type) {
	case *integer.Input:
		return reflect.DeepEqual(was.Table(), op.(*integer.Input).Table())
	case *integer.Conv:
		is := *op.(*integer.Conv)
		x := m.Nodes[n.In[0]].Out
		if unread(is.KH, is.StrideH, is.DilationH, n.Out.H, is.Pad.Top+x.H+min(is.Pad.Bottom, was.Pad.Bottom)) {
			is.Pad.Bottom = was.Pad.Bottom
		}
		if unread(is.KW, is.StrideW, is.DilationW, n.Out.W, is.Pad.Left+x.W+min(is.Pad.Right, was.Pad.Right)) {
			is.Pad.Right = was.Pad.Right
		}
		return sameSums(m, i, was.Requant, is.Requant, was.WeightGrid, is.WeightGrid) && equalBut(*was, is, "Requant", "WeightGrid", "Grid")
	case *integer.Linear:
		is := *op.(*integer.Linear)
		return sameSums(m, i, was.Requant, is.Requant, was.WeightGrid, is.WeightGrid) && equalBut(*was, is, "Requant", "WeightGrid", "Grid")
	case *integer.Multiply:
		is := op.(*integer.Multiply)
		ga, a := operand(0)
		gb, b := operand(1)
		for _, p := range a {
			for _, q := range b {
				acc := (p - int64(ga.ZeroPoint)) * (q - int64(gb.ZeroPoint))
				if was.Requant.Apply(acc, 0) != is.Requant.Apply(acc, 0) {
					return false
				}
			}
		}
		return equalBut(*was, *is, "Requant")
	case *integer.Add:
		is := op.(*integer.Add)
		_, a := operand(0)
		_, b := operand(1)
		for _, p := range a {
			for _, q := range b {
				if was.Rule.Apply(int32(p), int32(q)) != is.Rule.Apply(int32(p), int32(q)) {
					return false
				}
			}
		}
		return equalBut(*was, *is, "Rule")
	case *integer.Concat:
		is := op.(*integer.Concat)
		for k := range was.Requant {
			g, a := operand(k)
			for _, q := range a {
				if recoded(was.Requant[k], g, q) != recoded(is.Requant[k], g, q) {
					return false
				}
			}
		}
		return equalBut(*was, *is, "Requant")
	case *integer.Requantize:
		is := op.(*integer.Requantize)
		g, a := operand(0)
		for _, q := range a {
			if recoded(was.Requant, g, q) != recoded(is.Requant, g, q) {
				return false
			}
		}
		return equalBut(*was, *is, "Requant")
	case *integer.Table:
		is := op.(*integer.Table)
		g, a := operand(0)
		for c := range was.Codes {
			for _, q := range a {
				if k := q - int64(g.QMin()); was.Codes[c][k] != is.Codes[c][k] {
					return false
				}
			}
		}
		return equalBut(*was, *is, "Codes")
	case *integer.MaxPool: // a window is clipped to the image
		is := *op.(*integer.MaxPool)
		is.Pad.Bottom, is.Pad.Right = was.Pad.Bottom, was.Pad.Right
		return *was == is
	case *integer.AvgPool:
		is := *op.(*integer.AvgPool)
		x := m.Nodes[n.In[0]].Out
		if !is.CountPad || unread(is.KH, is.StrideH, 1, n.Out.H, is.Pad.Top+x.H+min(is.Pad.Bottom, was.Pad.Bottom)) {
			is.Pad.Bottom = was.Pad.Bottom
		}
		if !is.CountPad || unread(is.KW, is.StrideW, 1, n.Out.W, is.Pad.Left+x.W+min(is.Pad.Right, was.Pad.Right)) {
			is.Pad.Right = was.Pad.Right
		}
		g, a := operand(0)
		low, high := a[0]-int64(g.ZeroPoint), a[len(a)-1]-int64(g.ZeroPoint)
		for n := int64(1); n <= int64(is.KH*is.KW); n++ {
			for sum := n * low; sum <= n*high; sum++ {
				if was.Rule.Apply(sum, n) != is.Rule.Apply(sum, n) {
					return false
				}
			}
		}
		return equalBut(*was, is, "Rule")
	case *integer.Slice:
		is := op.(*integer.Slice)
		return sameIndices(was.C, is.C) && sameIndices(was.H, is.H) && sameIndices(was.W, is.W)
	}
	return false
}

// unread reports whether n windows end within the extent.
func unread(kernel, stride, dilation, n, extent int) bool {
	return (n-1)*stride+(kernel-1)*dilation+1 <= extent
}

func sameIndices(a, b integer.Range) bool {
	return a.Start == b.Start && a.Step == b.Step && (a.Stop-1-a.Start)/a.Step == (b.Stop-1-b.Start)/b.Step
}

// sameSums compares requantizers on all accumulators within the bound that is proved, and
// what grids of weights make of a code. Their width says how codes are packed; scales have
// gone into the requantizer or, without one, are those of the logits.
func sameSums(m *integer.Model, i int, was, is *quant.Requantizer, wasGrid, isGrid quant.Grid) bool {
	if wasGrid.ZeroPoint != isGrid.ZeroPoint || wasGrid.MidRise != isGrid.MidRise || (was == nil) != (is == nil) {
		return false
	}
	if was == nil {
		return reflect.DeepEqual(wasGrid.Scale, isGrid.Scale)
	}
	worst := m.Proof().Nodes[i].Worst
	for c := range m.Nodes[i].Out.C {
		for acc := -worst; acc <= worst; acc++ {
			if was.Apply(acc, c) != is.Apply(acc, c) {
				return false
			}
		}
	}
	return true
}

// equalBut compares two structs, some fields apart.
func equalBut[T any](a, b T, but ...string) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		f := x.Type().Field(i)
		if f.IsExported() && !slices.Contains(but, f.Name) && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			return false
		}
	}
	return true
}
