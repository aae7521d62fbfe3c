package train

import (
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/quant"
)

// lengths watches the fractional lengths of the power-of-two grids of a graph.
// It reads the grids that a program ran on, so it sees every quantizer, those
// of weights that follow their own range included.
type lengths struct {
	quantizers []*fakequant.Quantizer
	grids      []*quant.Grid // of the program that is watched
	first      []int         // where the lengths of a quantizer begin in last
	last       []int32
	changes    []FLChange
}

// unknown stands for a length that no step has used yet.
const unknown = math.MinInt32

func newLengths(g *autograd.Graph) *lengths {
	l := &lengths{}
	for _, q := range fakequant.Quantizers(g) {
		if !q.Format.PowerOfTwo {
			continue
		}
		l.quantizers = append(l.quantizers, q)
		l.first = append(l.first, len(l.last))
		for range q.Channels {
			l.last = append(l.last, unknown)
		}
	}
	l.grids = make([]*quant.Grid, len(l.quantizers))
	return l
}

// watch turns to another program of the graph. A grid is found by the format it
// is typed with, which belongs to one quantizer, whatever its nodes were fused
// with.
func (l *lengths) watch(p *autograd.Program) {
	index := map[*quant.UniformFormat]int{}
	for i, q := range l.quantizers {
		index[&q.Format] = i
		l.grids[i] = nil
	}
	p.Steps(func(_ *autograd.Node, _ autograd.Step, v autograd.View) {
		if i, ok := index[v.Format]; ok && l.grids[i] == nil {
			l.grids[i] = v.Grid
		}
	})
}

// compare records what the step that just ran changed, and allocates only where
// it did. It returns the number of changes.
func (l *lengths) compare(step int64) int {
	before := len(l.changes)
	for i, g := range l.grids {
		if g == nil {
			continue
		}
		last := l.last[l.first[i]:]
		for c := range g.Scale {
			fl, ok := g.FL(c)
			if !ok || c >= l.quantizers[i].Channels || last[c] == int32(fl) {
				continue
			}
			if last[c] != unknown {
				l.changes = append(l.changes, FLChange{step, l.quantizers[i].Name(), c, int(last[c]), fl})
			}
			last[c] = int32(fl)
		}
	}
	return len(l.changes) - before
}
