package optim

import "fmt"

// State is what an optimizer remembers between steps.
type State struct {
	// Vectors are the slots of the methods, named after parameter and slot
	// ("conv1.weight.momentum"), in the order of the parameters.
	Vectors []Vector
	// Counters are "steps", the steps taken, and "conv1.weight.steps", those
	// that the parameter took part in.
	Counters []Counter
}

// Vector is a named vector in the shape of its parameter.
type Vector struct {
	Name  string
	Shape []int
	Data  []float32
}

// Counter is a named count.
type Counter struct {
	Name  string
	Value int64
}

// State returns what a checkpoint has to hold between two steps. The vectors
// share memory with the optimizer: write them before the next Step, and change
// them through [Optimizer.Restore] only. Accumulated gradients are not part of
// it.
func (o *Optimizer) State() State {
	s := State{Counters: []Counter{{"steps", o.steps}}}
	for _, m := range o.params {
		for i, slot := range m.method.Slots() {
			s.Vectors = append(s.Vectors, Vector{m.param.Name + "." + slot, m.param.Shape, m.slots[i]})
		}
		s.Counters = append(s.Counters, Counter{m.param.Name + ".steps", m.count})
	}
	return s
}

// Restore sets every vector and counter by name, whatever their order. The names
// have to be exactly those of [Optimizer.State] and the vectors as long as
// their parameters; otherwise it returns a [StateError] and changes nothing.
// Accumulated gradients are dropped.
func (o *Optimizer) Restore(s State) error {
	have := o.State()
	vectors := make(map[string][]float32, len(s.Vectors))
	for _, v := range s.Vectors {
		if _, twice := vectors[v.Name]; twice {
			return &StateError{v.Name, "appears twice"}
		}
		vectors[v.Name] = v.Data
	}
	counters := make(map[string]int64, len(s.Counters))
	for _, c := range s.Counters {
		if _, twice := counters[c.Name]; twice {
			return &StateError{c.Name, "appears twice"}
		}
		if c.Value < 0 {
			return &StateError{c.Name, fmt.Sprintf("counts %d", c.Value)}
		}
		counters[c.Name] = c.Value
	}
	known := map[string]bool{}
	for _, v := range have.Vectors {
		data, ok := vectors[v.Name]
		if !ok {
			return &StateError{v.Name, "is missing"}
		}
		if len(data) != len(v.Data) {
			return &StateError{v.Name, fmt.Sprintf("has %d elements, the parameter has %d", len(data), len(v.Data))}
		}
		known[v.Name] = true
	}
	for _, v := range s.Vectors {
		if !known[v.Name] {
			return &StateError{v.Name, "belongs to no parameter and method of this optimizer"}
		}
	}
	clear(known)
	for _, c := range have.Counters {
		if _, ok := counters[c.Name]; !ok {
			return &StateError{c.Name, "is missing"}
		}
		known[c.Name] = true
	}
	for _, c := range s.Counters {
		if !known[c.Name] {
			return &StateError{c.Name, "belongs to no parameter of this optimizer"}
		}
	}
	for _, v := range have.Vectors {
		copy(v.Data, vectors[v.Name])
	}
	for _, m := range o.params {
		m.count = counters[m.param.Name+".steps"]
	}
	o.steps = counters["steps"]
	o.micro = 0
	return nil
}
