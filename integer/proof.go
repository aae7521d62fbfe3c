package integer

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/bitgrad/bitgrad/quant"
)

// Accumulator says what the sums of a node may be formed in without any error.
type Accumulator uint8

// The kinds of accumulators, narrowest first.
const (
	NoAccumulator Accumulator = iota // the node forms no sums
	Float24                          // |sum| ≤ 2^24: exact in float32, also before the zero point is corrected
	Int32                            // |sum| < 2^31
	Int64                            // wider sums, or operands wider than 8 bits
)

var accumulatorNames = [...]string{"none", "float32", "int32", "int64"}

// String returns "none", "float32", "int32" or "int64".
func (a Accumulator) String() string {
	if int(a) < len(accumulatorNames) {
		return accumulatorNames[a]
	}
	return fmt.Sprintf("accumulator(%d)", uint8(a))
}

// Bound says how large the sums of a node can become, whatever the input.
type Bound struct {
	Accumulator Accumulator
	// Worst is the bound A of the output channel that has the largest:
	// max|x−z_x|·Σ|w−z_w| + |bias| + rounding. 0 for a node that forms no sums.
	Worst   int64
	Channel int // the output channel with the largest bound
	// Headroom is how many more doublings of the worst channel the accumulator type
	// would hold.
	Headroom int
}

// Proof lists the bound of every node of a model.
type Proof struct{ Nodes []NodeProof }

// NodeProof is the bound of one node.
type NodeProof struct {
	Node int // index into Model.Nodes
	Name string
	Bound
}

// String returns the nodes that form sums as a table.
func (p *Proof) String() string {
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "node\tworst sum\tchannel\theadroom\taccumulator")
	for _, n := range p.Nodes {
		if n.Accumulator != NoAccumulator {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d bits\t%s\n", n.Name, n.Worst, n.Channel, n.Headroom, n.Accumulator)
		}
	}
	w.Flush()
	return s.String()
}

// largestBound is the largest sum that the int64 path accepts: it leaves room for the
// rounding of any rule.
const largestBound = math.MaxInt64 / 4

// newBound classifies the worst sum. raw bounds the sums before zero points are corrected
// for, bits is the width of the widest operand.
func newBound(worst, raw int64, channel, bits int) (Bound, error) {
	b := Bound{Worst: worst, Channel: channel}
	var limit float64
	switch {
	case worst > largestBound:
		return b, refuse(ErrBound, "the sums of channel %d can reach %d: more than 2^61", channel, worst)
	case bits <= 8 && quant.Fits24(worst) && quant.Fits24(raw):
		b.Accumulator, limit = Float24, 1<<24
	case bits <= 8 && quant.Fits32(worst):
		b.Accumulator, limit = Int32, 1<<31
	default:
		b.Accumulator, limit = Int64, 1<<61
	}
	b.Headroom = max(int(math.Floor(math.Log2(limit/math.Max(float64(worst), 1)))), 0)
	return b, nil
}
