package autograd

// fusions are the rewrites that every program goes through after those of its graph, but in
// mode Calibrate, whose observers look at every node:
//
//	pooled-conv  conv2d [relu or relu6] max_pool [relu or relu6]  →  conv2d_pool
//	fused-conv   conv2d [batch_norm] [add] [relu or relu6]        →  fused_conv2d
//
// A chain fuses where nobody else reads what lies inside it; where further nodes are wanted,
// nothing fuses. What is fused gives the results and gradients, bit for bit, of what it replaces
// (where a gradient is the sum of three or more, up to the order of these, and those in front of a pool
// up to the order of their sums).
func (o *CompileOptions) fusions() []Pass {
	if o.Plain || o.Unfused || o.Mode == Calibrate || len(o.Wanted) > 0 {
		return nil
	}
	each := func(name string, fuse func(e *Edit, n *Node)) Pass {
		return Pass{Name: name, Apply: func(_ Mode, e *Edit) error {
			for _, n := range e.Nodes() {
				fuse(e, n)
			}
			return nil
		}}
	}
	return []Pass{each("pooled-conv", fusePool), each("fused-conv", fuseConv)}
}

// fusePool fuses the chain that begins with n, if it is a convolution in front of a max pool that pays.
func fusePool(e *Edit, n *Node) {
	conv, ok := n.Op().(Conv2DOp)
	if !ok || len(n.in) < 2 || !floats(n) {
		return
	}
	o := PooledConvOp{Conv: conv, Bias: n.Input(2) != nil}
	last := n
	// activation takes the reader of last in, if it is one.
	activation := func() {
		k := e.Only(last)
		if k == nil || o.Act != nil || !floats(k) {
			return
		}
		switch k.Op().(type) {
		case ReLUOp, ReLU6Op:
			o.Act, last = k.Op(), k
		}
	}
	activation()
	k := e.Only(last)
	if k == nil || !floats(k) {
		return
	}
	if o.Pool, ok = k.Op().(MaxPoolOp); !ok || !o.Pays(n.in[0].typ, n.in[1].typ) {
		return
	}
	last = k
	activation()
	e.Fuse(last, n.name, o, n.in...)
}

// fuseConv fuses the chain that begins with n, if one does.
func fuseConv(e *Edit, n *Node) {
	conv, ok := n.Op().(Conv2DOp)
	if !ok || len(n.in) < 2 || !floats(n) {
		return
	}
	o := FusedConvOp{Conv: conv, Bias: n.Input(2) != nil}
	in := append([]*Node(nil), n.in...)
	last := n
	// next returns the only reader of last, if it may be fused and reads it first.
	next := func() *Node {
		k := e.Only(last)
		if k == nil || !k.typ.SameShape(n.typ) || k.typ.DType != Float32 {
			return nil
		}
		return k
	}
	if k := next(); k != nil {
		if norm, ok := k.Op().(BatchNormOp); ok && k.in[0] == last && floats(k.in[1:]...) {
			o.Norm, last = &norm, k
			in = append(in, k.in[1], k.in[2])
		}
	}
	if k := next(); k != nil {
		if _, ok := k.Op().(AddOp); ok {
			other := k.in[0]
			if other == last {
				other = k.in[1]
			}
			if floats(other) && !other.typ.Plain && other.typ.SameShape(n.typ) {
				o.Residual, last = true, k
				in = append(in, other)
			}
		}
	}
	if k := next(); k != nil {
		switch k.Op().(type) {
		case ReLUOp, ReLU6Op:
			o.Act, last = k.Op(), k
		}
	}
	if last != n {
		e.Fuse(last, n.name, o, in...)
	}
}

// floats reports whether all nodes are real numbers in float32.
func floats(ns ...*Node) bool {
	for _, n := range ns {
		if n.typ.DType != Float32 || n.typ.IsCodes() {
			return false
		}
	}
	return true
}
