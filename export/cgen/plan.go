package cgen

import (
	"math/bits"
	"slices"

	"github.com/bitgrad/bitgrad/integer"
)

// A plan says where in static memory the codes of each node lie. There is one
// array for each width, so that no two types ever read the same bytes.
type plan struct {
	offsets []int64  // of each node, in elements
	extents [4]int64 // of the arrays of 8, 16, 32 and 64 bits, in elements
}

// span is a region that is in use while nodes first to last run.
type span struct {
	node        int
	first, last int
	offset, n   int64
}

func (s *span) overlaps(o *span) bool { return s.first <= o.last && o.first <= s.last }

// newPlan assigns the largest regions first, each to the lowest place that is free
// throughout its life. A reshape shares the region of its operand.
func newPlan(m *integer.Model) plan {
	p := plan{offsets: make([]int64, len(m.Nodes))}
	root := make([]int, len(m.Nodes))
	spans := make([]*span, len(m.Nodes))
	for i := range m.Nodes {
		n := &m.Nodes[i]
		for _, j := range n.In {
			spans[root[j]].last = i
		}
		root[i] = i
		if _, ok := n.Op.(*integer.Reshape); ok {
			root[i] = root[n.In[0]]
			continue
		}
		spans[i] = &span{node: i, first: i, last: i, n: int64(n.Out.Len())}
	}
	spans[root[m.Output]].last = len(m.Nodes)

	for k := range p.extents {
		var group []*span
		for i, s := range spans {
			if s != nil && widthIndex(&m.Nodes[i]) == k {
				group = append(group, s)
			}
		}
		slices.SortStableFunc(group, func(a, b *span) int { return int(b.n - a.n) })
		for i, s := range group {
			s.offset = place(s, group[:i])
			p.offsets[s.node] = s.offset
			p.extents[k] = max(p.extents[k], s.offset+s.n)
		}
	}
	for i := range p.offsets {
		p.offsets[i] = p.offsets[root[i]]
	}
	return p
}

// widthIndex returns 0 to 3 for codes in 8, 16, 32 or 64 bits.
func widthIndex(n *integer.Node) int { return bits.TrailingZeros(uint(typeOf(n).bits)) - 3 }

// place returns the lowest offset at which s meets none of the spans that are
// placed and in use at the same time.
func place(s *span, placed []*span) int64 {
	var taken []*span
	for _, o := range placed {
		if s.overlaps(o) {
			taken = append(taken, o)
		}
	}
	slices.SortFunc(taken, func(a, b *span) int { return int(a.offset - b.offset) })
	at := int64(0)
	for _, o := range taken {
		if o.offset >= at+s.n {
			break
		}
		at = max(at, o.offset+o.n)
	}
	return at
}
