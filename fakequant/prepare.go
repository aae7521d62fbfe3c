package fakequant

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/quant"
)

// Names of the edges of the network in rules.
const (
	InputEdge  = "input"
	LogitsEdge = "logits"
)

// unit is a layer as quantization sees it: the node that computes, the batch
// norm and the activation function behind it, and its one output.
type unit struct {
	name, kind string
	node       *autograd.Node // what computes
	norm       *autograd.Node // batch norm to fold, nil without
	tail       *autograd.Node // the last node of the unit, whose output is quantized
	edge       string         // InputEdge, LogitsEdge or ""
	spec       Spec
}

// Layers are told apart by the type of their operation and by its Spec, never by
// its name: an operation from outside may be called anything.

// moving reports whether n only moves elements: codes pass through and keep
// their grid.
func moving(n *autograd.Node) bool { return n.Op() != nil && n.Spec().Moves }

// weighted reports whether n is a convolution or a linear layer.
func weighted(n *autograd.Node) bool {
	switch n.Op().(type) {
	case autograd.Conv2DOp, autograd.LinearOp:
		return true
	}
	return false
}

func isActivation(n *autograd.Node) bool {
	switch n.Op().(type) {
	case autograd.ReLUOp, autograd.ReLU6Op:
		return true
	}
	return false
}

func isNormalize(n *autograd.Node) bool {
	_, ok := n.Op().(autograd.NormalizeOp)
	return ok
}

func isBatchNorm(n *autograd.Node) bool {
	_, ok := n.Op().(autograd.BatchNormOp)
	return ok
}

// Prepare returns a quantization-aware copy of a graph. It shares parameters
// and state with the original, so that training one trains the other
// (train.CopyWeights keeps two networks apart), keeps the names of its nodes,
// and adds:
//
//   - for a convolution followed by a batch norm, nodes that fold the moving
//     statistics into its weight and bias;
//   - a node that quantizes the weight of every convolution and linear layer;
//   - a node NAME.out that quantizes the output of every layer, after its
//     activation function; the input of the network gets 8 bits and its logits
//     stay accumulators, unless a rule names "input" or "logits";
//   - the passes that turn all this into nodes on integers (see [Passes]).
//
// Rules change the spec of layers by name, the last match counting field by
// field; one that matches nothing is an error that wraps [ErrRule]. The prepared
// graph must be calibrated before it is trained or evaluated. The report says
// what was quantized how, and what was not and why.
func Prepare(g *autograd.Graph, base Spec, rules ...Rule) (*autograd.Graph, *Report, error) {
	if g == nil {
		return nil, nil, fmt.Errorf("%w: the graph is nil", ErrSpec)
	}
	if err := g.Err(); err != nil {
		return nil, nil, err
	}
	if len(Quantizers(g)) > 0 {
		return nil, nil, fmt.Errorf("%w: %s is prepared already", ErrSpec, g.Name())
	}
	if _, err := base.complete(); err != nil {
		return nil, nil, err
	}
	report := &Report{Net: g.Name()}
	q, err := g.Rewrite(func(e *autograd.Edit) error {
		us := units(e)
		if err := assign(us, base, rules); err != nil {
			return err
		}
		signs := newSigns(e)
		for _, u := range us {
			if err := u.apply(e, signs, report); err != nil {
				return err
			}
		}
		return e.Graph().Err()
	})
	if err != nil {
		return nil, nil, err
	}
	q.Use(Passes()...)
	return q, report, nil
}

// units cuts the graph into layers.
func units(e *autograd.Edit) []*unit {
	var us []*unit
	taken := map[*autograd.Node]bool{}
	for _, n := range e.Nodes() {
		if n.Op() == nil && n.Param() == nil && n.Type().DType == autograd.Float32 {
			us = append(us, &unit{name: n.Name(), kind: n.Kind(), node: n, tail: n, edge: InputEdge})
		}
		if n.Op() == nil || taken[n] || n.Type().Plain || moving(n) {
			continue
		}
		u := &unit{name: n.Name(), kind: n.Kind(), node: n, tail: n}
		if isNormalize(n) {
			u.edge = InputEdge
		}
		if isActivation(n) { // on its own: codes keep their grid
			if q := producer(n.Input(0)); q != nil && !q.Type().Plain && q.Op() != nil {
				continue
			}
		}
		if weighted(n) {
			if k := e.Only(n); k != nil && isBatchNorm(k) && k.Input(0) == n {
				u.norm, u.tail = k, k
				taken[k] = true
			}
		}
		// Behind pixels, and behind a function that becomes a table, codes are clamped.
		fuses := !isNormalize(n) && scalarFunction(n.Op()) == nil
		if k := e.Only(u.tail); fuses && k != nil && isActivation(k) {
			u.tail = k
			taken[k] = true
		}
		if e.IsOutput(u.tail) || feedsLossOnly(e, u.tail) {
			u.edge = LogitsEdge
		}
		us = append(us, u)
	}
	return us
}

// producer follows operations that only move values back to what computed them.
func producer(n *autograd.Node) *autograd.Node {
	for n != nil && moving(n) {
		n = n.Input(0)
	}
	return n
}

// feedsLossOnly reports whether n is read by losses alone: what has no batch axis
// is a number for training.
func feedsLossOnly(e *autograd.Edit, n *autograd.Node) bool {
	cs := e.Consumers(n)
	for _, c := range cs {
		if !c.Type().Plain {
			return false
		}
	}
	return len(cs) > 0
}

// assign gives every unit its spec.
func assign(us []*unit, base Spec, rules []Rule) error {
	names := []string{InputEdge, LogitsEdge}
	for _, u := range us {
		names = append(names, u.name, "kind:"+u.kind)
		u.spec = base
		if u.edge == InputEdge {
			u.spec.OutBits, u.spec.OutFL = 8, nil
		}
		if u.edge == LogitsEdge {
			u.spec.OutBits, u.spec.OutFL = 32, nil
		}
	}
	for _, r := range rules {
		matched := false
		for _, u := range us {
			s := r.Spec
			switch {
			case u.edge != "" && r.matches(u.edge, ""):
			case u.edge == InputEdge:
				if !(r.Match == u.name) {
					continue
				}
			case !r.matches(u.name, u.kind):
				continue
			case u.edge == LogitsEdge: // a rule for the layer leaves its logits alone
				s.OutBits, s.OutFL = 0, nil
			}
			matched = true
			u.spec = s.over(u.spec)
		}
		if !matched {
			return fmt.Errorf("%w: %q%s", ErrRule, r.Match, glob.Hint(r.Match, names))
		}
	}
	for _, u := range us {
		s, err := u.spec.complete()
		if err != nil {
			return fmt.Errorf("%s: %w", u.name, err)
		}
		u.spec = s
	}
	return nil
}

// apply puts the quantizers of one unit into the graph.
func (u *unit) apply(e *autograd.Edit, signs *signs, report *Report) error {
	row := Row{Name: u.name, Kind: u.kind, Edge: u.edge}
	if u.spec.Scheme == Float {
		row.Why = "a rule keeps it float"
		report.Rows = append(report.Rows, row)
		return nil
	}
	if u.spec.InBits != 0 && u.spec.InBits != 32 {
		if err := u.requantizeInputs(e, signs, &row); err != nil {
			return err
		}
	}
	if weighted(u.node) {
		if err := u.quantizeWeight(e, &row); err != nil {
			return err
		}
	} else if u.norm != nil || isBatchNorm(u.node) {
		row.Why = "the batch norm follows no convolution"
	}
	if u.spec.OutBits == 32 {
		if u.edge == LogitsEdge {
			row.Out = "accumulators"
		}
		report.Rows = append(report.Rows, row)
		return nil
	}
	pixels := isNormalize(u.node)
	if pixels {
		u.spec.Estimator, u.spec.Observer = STE{}, MinMax{}
	}
	f := u.outFormat(signs.signed(u.tail), u.spec.OutBits)
	q, err := newQuantizer(u.name, Outputs, f, u.spec, 1, u.spec.OutFL)
	if err != nil {
		return err
	}
	if pixels {
		q.pin(pixelRange(u.node))
	}
	row.Out, row.OutBits = q.words(), f.BitWidth
	report.Rows = append(report.Rows, row)
	e.InsertAfter(u.tail, u.name+".out", QuantizeOp{q}, u.ranges(e, q)...)
	return nil
}

// ranges returns the operand for the learned range of q, if it has one.
func (u *unit) ranges(e *autograd.Edit, q *Quantizer) []*autograd.Node {
	if !q.learned() {
		return nil
	}
	return []*autograd.Node{e.Leaf(q.Param)}
}

// outFormat returns the format of an activation. It rounds as the
// requantization rule of its scheme does.
func (u *unit) outFormat(signed bool, bits int) quant.UniformFormat {
	f := quant.UniformFormat{BitWidth: bits, Signed: signed}
	if u.spec.Scheme == FixedPoint {
		f.PowerOfTwo = true
		f.Rounding = quant.Shift.Rounding()
		return f
	}
	f.Rounding = quant.Float.Rounding()
	affine := u.spec.Affine
	if signed && (isTrue(affine) || affine == nil && !u.spec.Estimator.Learned()) {
		f.Affine, f.Signed = true, false
	}
	return f
}

func (u *unit) requantizeInputs(e *autograd.Edit, signs *signs, row *Row) error {
	k := 0
	for i, in := range u.node.Inputs() {
		if in.Type().Plain || in.Op() == nil {
			continue
		}
		name := u.name + ".in"
		if k > 0 {
			name = fmt.Sprintf("%s.in%d", u.name, k)
		}
		k++
		f := u.outFormat(signs.signed(in), u.spec.InBits)
		q, err := newQuantizer(name, Edge, f, u.spec, 1, u.spec.InFL)
		if err != nil {
			return err
		}
		row.In, row.InBits = q.words(), f.BitWidth
		e.InsertBefore(u.node, i, name, QuantizeOp{q}, u.ranges(e, q)...)
	}
	return nil
}

// quantizeWeight folds the batch norm and quantizes the weight.
func (u *unit) quantizeWeight(e *autograd.Edit, row *Row) error {
	n := u.node
	x, w, b := n.Input(0), n.Input(1), n.Input(2)
	name := w.Name()
	if u.norm != nil {
		bn, _ := u.norm.Op().(autograd.BatchNormOp)
		norm := &Norm{BatchNormAttrs: bn.BatchNormAttrs, Mean: bn.Mean, Var: bn.Var}
		gamma, beta := u.norm.Input(1), u.norm.Input(2)
		w = e.Add(u.name+".folded", FoldWeightOp{norm}, w, gamma)
		operands := []*autograd.Node{gamma, beta}
		if b != nil {
			operands = append(operands, b)
		}
		b = e.Add(u.name+".folded.bias", FoldBiasOp{norm}, operands...)
		e.SetOp(n, n.Op(), x, w)
		vectors := []*autograd.Node{n, b, gamma, beta}
		if len(operands) == 3 {
			vectors = append(vectors, operands[2])
		}
		e.SetOp(u.norm, FoldedNormOp{norm}, vectors...)
		row.Folded = u.norm.Name()
	}
	if u.spec.WeightBits == 32 {
		row.Why = "weights stay float"
		return nil
	}
	f := quant.UniformFormat{BitWidth: u.spec.WeightBits, Signed: true, PowerOfTwo: u.spec.Scheme == FixedPoint,
		PerChannel: isTrue(u.spec.PerChannel)}
	if u.spec.Narrow != nil {
		f.Narrow = *u.spec.Narrow
	} else {
		f.Narrow = u.spec.Scheme == Integer && f.BitWidth > 1
	}
	channels := 1
	if f.PerChannel {
		channels = w.Type().Shape[0]
	}
	q, err := newQuantizer(u.name, Weights, f, u.spec, channels, u.spec.WeightFL)
	if err != nil {
		return err
	}
	row.Weights, row.WeightBits = q.words(), f.BitWidth
	operands := []*autograd.Node{w}
	if b != nil {
		operands = append(operands, b, x)
	}
	qw := e.Add(name+".quantized", QuantizeWeightOp{Q: q, HasBias: b != nil}, append(operands, u.ranges(e, q)...)...)
	e.SetInput(n, 1, qw)
	if b != nil {
		qb := e.Add(b.Name()+".quantized", QuantizeBiasOp{}, b, qw, x)
		reader, i := n, 2
		if u.norm != nil {
			reader, i = u.norm, 1
		}
		e.SetInput(reader, i, qb)
	}
	return nil
}

// signs decides which activations can be negative.
type signs struct {
	known map[*autograd.Node]bool
}

func newSigns(*autograd.Edit) *signs { return &signs{map[*autograd.Node]bool{}} }

// signed reports whether n may hold negative values.
func (s *signs) signed(n *autograd.Node) bool {
	if v, ok := s.known[n]; ok {
		return v
	}
	v := s.infer(n)
	s.known[n] = v
	return v
}

func (s *signs) infer(n *autograd.Node) bool {
	any := func() bool {
		for _, i := range n.Inputs() {
			if !i.Type().Plain && s.signed(i) {
				return true
			}
		}
		return false
	}
	if n.Op() == nil {
		return true
	}
	if n.Spec().NonNegative {
		return false
	}
	if n.Spec().Moves {
		return any()
	}
	switch o := n.Op().(type) {
	case autograd.NormalizeOp:
		return normalizeSigned(n)
	case autograd.AddOp, autograd.MultiplyOp, autograd.ConcatOp, autograd.AveragePoolOp, autograd.GlobalMeanOp:
		return any()
	case QuantizeOp:
		return o.Q.Format.Signed || o.Q.Format.Affine
	}
	return true
}

// normalizeSigned reports whether a normalized pixel can be negative.
func normalizeSigned(n *autograd.Node) bool {
	lo, _ := pixelRange(n)
	return lo < 0
}

// pixelRange returns the range of a normalized pixel over all channels.
func pixelRange(n *autograd.Node) (lo, hi float32) {
	o, ok := n.Op().(autograd.NormalizeOp)
	if !ok {
		return -1, 1
	}
	for c := range o.Scale {
		a, b := o.Offset[c], float32(255*o.Scale[c])+o.Offset[c]
		if c == 0 {
			lo, hi = min(a, b), max(a, b)
		}
		lo, hi = min(lo, a, b), max(hi, a, b)
	}
	return lo, hi
}
