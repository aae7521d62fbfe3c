package autograd

// Watch makes Forward and Backward call f after each node that has something to
// do, on the calling goroutine: forward in the order of the nodes, backward in
// the opposite order. Whoever wants to know how long a node takes reads the clock
// in f; the program itself does not. Nil stops it.
func (p *Program) Watch(f func(n *Node, backward bool)) { p.watch = f }

// A Cost is what a node does in one direction of a step.
type Cost struct {
	// MACs is the number of multiply-accumulates of matrix products and
	// convolutions.
	MACs int64
	// Integers says that these are products of codes.
	Integers bool
	// Bytes counts every operand that is read and every result that is written
	// once, without borders and scratch memory.
	Bytes int64
}

// Cost returns what the node costs by the description of its operation: forward,
// the operands, the output and what is saved; backward, the gradient of the output,
// what the operation says that it reads, and the gradients that are wanted, each of
// which takes as many products as the forward pass. Costs of nodes that do not run
// are zero.
func (p *Program) Cost(n *Node) (forward, backward Cost) {
	for i, d := range p.drafts {
		if d.node == n && n.op != nil {
			return p.forwardCost(i, d), p.backwardCost(i, d)
		}
	}
	return Cost{}, Cost{}
}

func (p *Program) forwardCost(i int, d *draft) Cost {
	c := Cost{MACs: d.spec.MACs * int64(p.opt.Batch), Bytes: p.values[i].bytes() + savedBytes(d)}
	for k, j := range d.in {
		if !p.readsGrid(d, k) {
			c.Bytes += p.values[j].bytes()
		}
	}
	switch d.node.op.(type) {
	case Conv2DOp, LinearOp: // dequantize codes first
	default:
		c.Integers = c.MACs > 0 && len(d.in) > 1 && p.values[d.in[0]].IsCodes() && p.values[d.in[1]].IsCodes()
	}
	return c
}

// readsGrid reports whether operand k is there for its grid alone: codes without a
// derivative in front of a result without a batch, that of a node that quantizes a
// weight or a bias.
func (p *Program) readsGrid(d *draft, k int) bool {
	return d.spec.Out.Plain && p.values[d.in[k]].IsCodes() && k < len(d.spec.NoGrad) && d.spec.NoGrad[k]
}

func (p *Program) backwardCost(i int, d *draft) Cost {
	if !d.grad {
		return Cost{}
	}
	c := Cost{Bytes: p.grads[i].bytes() + savedBytes(d)}
	if d.spec.ReadsOut {
		c.Bytes += p.values[i].bytes()
	}
	for k, j := range d.in {
		if d.readsIn(k) {
			c.Bytes += p.values[j].bytes()
		}
		if !d.gradWanted(p.drafts, k) {
			continue
		}
		c.Bytes += p.grads[j].bytes()
		if k < 2 { // the products are with the input and with the weight
			c.MACs += d.spec.MACs * int64(p.opt.Batch)
		}
	}
	return c
}

// bytes returns the memory of the elements, without a border.
func (v View) bytes() int64 { return int64(v.Elements()) * int64(v.Elem().Size()) }

func savedBytes(d *draft) int64 {
	n := int64(0)
	for _, s := range d.spec.Saved {
		n += int64(s.Len) * int64(s.DType.Size())
	}
	return n
}
