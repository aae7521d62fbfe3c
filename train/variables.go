package train

import "github.com/bitgrad/bitgrad/autograd"

// variables are the values that a graph carries from step to step: parameters
// and state.
type variables struct {
	params []*autograd.Param
	states []*autograd.State
}

func variablesOf(g *autograd.Graph) variables { return variables{g.Params(), g.States()} }

// each calls f for every variable in the order of the graph. A state has no
// shape of its own: it is a vector.
func (v variables) each(f func(name string, shape []int, data []float32)) {
	for _, p := range v.params {
		f(p.Name, p.Shape, p.Value)
	}
	for _, s := range v.states {
		f(s.Name, []int{len(s.Value)}, s.Value)
	}
}

// copy returns the present values in the order of each.
func (v variables) copy() [][]float32 {
	var c [][]float32
	v.each(func(_ string, _ []int, data []float32) { c = append(c, append([]float32(nil), data...)) })
	return c
}

// copyTo overwrites what copy returned.
func (v variables) copyTo(c [][]float32) {
	i := 0
	v.each(func(_ string, _ []int, data []float32) {
		copy(c[i], data)
		i++
	})
}

// restore sets the values to what copy returned and drops what is staged.
func (v variables) restore(c [][]float32) {
	i := 0
	v.each(func(_ string, _ []int, data []float32) {
		copy(data, c[i])
		i++
	})
	v.changed()
}

// changed announces that values were written to.
func (v variables) changed() {
	for _, p := range v.params {
		p.Touch()
	}
	for _, s := range v.states {
		s.Discard()
	}
}
