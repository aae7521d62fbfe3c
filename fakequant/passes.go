package fakequant

import (
	"github.com/bitgrad/bitgrad/autograd"
)

// Passes returns the rewrites that every program of a prepared graph goes
// through, in order. Prepare attaches them.
//
//	calibrated        refuses a graph without ranges, except to calibrate it
//	drop-dropout      removes dropout where it does nothing
//	fold-bias         outside the batch phase a folded batch norm is a bias
//	table-input       pixels become codes through one table
//	integer-conv      convolution + batch norm + ReLU + quantize, on integers; in training
//	                  without batch norm a max pool behind it
//	integer-math      sum, product, average or concatenation + ReLU + quantize
//	table             a pointwise function between codes becomes a table
//
// What no pass matches runs on dequantized floats; [Explain] says which nodes
// and why.
func Passes() []autograd.Pass {
	return []autograd.Pass{
		{Name: "calibrated", Apply: passCalibrated},
		{Name: "drop-dropout", Apply: passDropout},
		{Name: "fold-bias", Apply: passFoldBias},
		{Name: "table-input", Apply: outside(autograd.Calibrate, passTableInput)},
		{Name: "integer-conv", Apply: outside(autograd.Calibrate, passIntConv)},
		{Name: "integer-math", Apply: outside(autograd.Calibrate, passIntMath)},
		{Name: "table", Apply: outside(autograd.Calibrate, passTable)},
	}
}

// outside runs a pass in every mode but one.
func outside(mode autograd.Mode, f func(mode autograd.Mode, e *autograd.Edit) error) func(autograd.Mode, *autograd.Edit) error {
	return func(m autograd.Mode, e *autograd.Edit) error {
		if m == mode {
			return nil
		}
		return f(m, e)
	}
}

func passCalibrated(mode autograd.Mode, e *autograd.Edit) error {
	if mode == autograd.Calibrate {
		return nil
	}
	return Calibrated(e.Graph())
}

func passDropout(mode autograd.Mode, e *autograd.Edit) error {
	if mode.Training() {
		return nil
	}
	for _, n := range e.Nodes() {
		if _, ok := n.Op().(autograd.DropoutOp); ok {
			e.Replace(n, n.Input(0))
		}
	}
	return nil
}

func passFoldBias(mode autograd.Mode, e *autograd.Edit) error {
	if mode == autograd.Train {
		return nil
	}
	for _, n := range e.Nodes() {
		if _, ok := n.Op().(FoldedNormOp); !ok {
			continue
		}
		conv := n.Input(0)
		if e.Only(conv) != n {
			continue
		}
		e.SetOp(conv, conv.Op(), conv.Input(0), conv.Input(1), n.Input(1))
		e.Replace(n, conv)
	}
	return nil
}

// quantizerOf returns the quantizer node that is the only reader of n.
func quantizerOf(e *autograd.Edit, n *autograd.Node) (*autograd.Node, *Quantizer) {
	k := e.Only(n)
	if k == nil {
		return nil, nil
	}
	if o, ok := k.Op().(QuantizeOp); ok && k.Input(0) == n {
		return k, o.Q
	}
	return nil, nil
}

// rangeOperand returns the learned range that a quantizer node reads.
func rangeOperand(n *autograd.Node) []*autograd.Node {
	return n.Inputs()[1:]
}

func passTableInput(_ autograd.Mode, e *autograd.Edit) error {
	for _, n := range e.Nodes() {
		o, ok := n.Op().(autograd.NormalizeOp)
		if !ok {
			continue
		}
		k, q := quantizerOf(e, n)
		if k == nil || q.learned() || n.Input(0).Type().DType != autograd.Uint8 || n.Input(0).Type().IsCodes() {
			continue
		}
		e.Fuse(k, n.Name(), TableInputOp{Normalize: o, Q: q}, n.Input(0))
	}
	return nil
}

func passIntConv(mode autograd.Mode, e *autograd.Edit) error {
	for _, n := range e.Nodes() {
		if !weighted(n) || len(n.Inputs()) < 2 || !n.Input(0).Type().IsCodes() || !n.Input(1).Type().IsCodes() {
			continue
		}
		if n.Input(0).Type().Format.BitWidth > 16 {
			continue
		}
		o := IntConvOp{Conv: n.Op(), HasBias: n.Input(2) != nil}
		in := append([]*autograd.Node(nil), n.Inputs()...)
		tail := n
		next := e.Only(tail)
		if next != nil {
			if f, ok := next.Op().(FoldedNormOp); ok && next.Input(0) == n {
				if wide(types(n)) {
					continue // the batch phase keeps int32 accumulators
				}
				o.Norm, o.HasBias = f.Norm, true
				o.HasOwn = len(next.Inputs()) == 5
				in = append(in[:2:2], next.Inputs()[1:]...)
				tail, next = next, e.Only(next)
			}
		}
		if next != nil && isActivation(next) {
			o.act = activationOf(next)
			tail, next = next, e.Only(next)
		}
		if next != nil {
			if k, q := quantizerOf(e, tail); k != nil {
				o.Out = q
				in = append(in, rangeOperand(k)...)
				if p := maxPoolBehind(e, k); mode.Training() && p != nil && o.poolable(types(n), *p) {
					o.Pool = p
					k = e.Only(k)
				}
				e.Fuse(k, n.Name(), o, in...)
				continue
			}
		}
		// Accumulators are an output of the network, nothing else.
		if tail == n && o.Norm == nil && (e.IsOutput(n) || feedsLossOnly(e, n)) {
			e.SetOp(n, o, in...)
		}
	}
	return nil
}

// maxPoolBehind returns the max pool that is the only reader of n.
func maxPoolBehind(e *autograd.Edit, n *autograd.Node) *autograd.MaxPoolOp {
	if k := e.Only(n); k != nil {
		if p, ok := k.Op().(autograd.MaxPoolOp); ok {
			return &p
		}
	}
	return nil
}

func types(n *autograd.Node) []autograd.Type {
	return []autograd.Type{n.Input(0).Type(), n.Input(1).Type()}
}

func activationOf(n *autograd.Node) activation {
	if _, ok := n.Op().(autograd.ReLU6Op); ok {
		return relu6
	}
	return relu
}

func passIntMath(_ autograd.Mode, e *autograd.Edit) error {
	for _, n := range e.Nodes() {
		if n.Op() == nil || n.Type().IsCodes() || n.Type().Plain || !lowersAs(n.Op(), operandTypes(n)) {
			continue
		}
		codes := true
		for _, i := range n.Inputs() {
			t := i.Type()
			codes = codes && t.IsCodes() && t.Format.BitWidth <= 16 && !t.Plain
		}
		if !codes {
			continue
		}
		o := IntMathOp{Float: n.Op()}
		tail := n
		if next := e.Only(n); next != nil && isActivation(next) {
			o.act, tail = activationOf(next), next
		}
		k, q := quantizerOf(e, tail)
		if k == nil {
			continue
		}
		same := true // the shift rule needs powers of two on all sides
		for _, i := range n.Inputs() {
			same = same && (q.rule() != 0 || i.Type().Format.PowerOfTwo)
		}
		if !same {
			continue
		}
		o.Out = q
		e.Fuse(k, n.Name(), o, append(append([]*autograd.Node(nil), n.Inputs()...), rangeOperand(k)...)...)
	}
	return nil
}

func operandTypes(n *autograd.Node) []autograd.Type {
	ts := make([]autograd.Type, len(n.Inputs()))
	for i, k := range n.Inputs() {
		ts[i] = k.Type()
	}
	return ts
}

// passTable joins a pointwise function of codes and the quantizer behind it, and
// names the quantizer on an edge as what it is.
func passTable(_ autograd.Mode, e *autograd.Edit) error {
	for _, n := range e.Nodes() {
		o, ok := n.Op().(QuantizeOp)
		if !ok {
			continue
		}
		f := n.Input(0)
		inner, name := autograd.Op(nil), n.Name()
		x := f
		if fn := scalarFunction(f.Op()); fn != nil && e.Only(f) == n {
			inner, x, name = f.Op(), f.Input(0), f.Name()
		}
		t := x.Type()
		if !t.IsCodes() || t.Plain || t.Format.BitWidth > 8 {
			continue
		}
		e.Fuse(n, name, TableOp{Float: inner, Q: o.Q}, append([]*autograd.Node{x}, rangeOperand(n)...)...)
	}
	return nil
}
