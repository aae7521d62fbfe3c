package export

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/integer"
)

// TestEveryConstantMatters lowers a network and alters its constants one at a time: weights,
// biases, shifts, multipliers, zero points, ends of clamps, entries of tables, strides, pads, grids.
// The builder must refuse the change, or Verify must see it. What the builder refuses only
// because two numbers say the same is planted behind its back as well. A change is excused
// where the operation stays the same function of all codes that can occur.
func TestEveryConstantMatters(t *testing.T) {
	ds := noise(t, 32)
	for name, q := range map[string]*autograd.Graph{"dfp": dfpWorkshop(t, ds), "int8": int8Workshop(t, ds)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlanting(t, q, ds)
			all := constants(p.model)
			for i, c := range all {
				if !testing.Short() || i%16 == 0 {
					p.plant(c)
				}
			}
			t.Logf("%d constants: %v", len(all), p.overall)
			for _, k := range slices.Sorted(maps.Keys(p.fields)) {
				t.Logf("%-34s %v", k, *p.fields[k])
			}
		})
	}
}

// An excuse is why some changes of a field cannot matter. That they do not is computed: the
// operation must stay the same function.
type excuse struct {
	field *regexp.Regexp
	why   string
}

var excuses = []excuse{
	{regexp.MustCompile(`^(conv\.(Stride.|Dilation.|Groups)|slice\..\.Step)$`), "0 stands for 1"},
	{regexp.MustCompile(`\.Pad\.(Bottom|Right)$`), "no window reaches this far, or a window is clipped to the image"},
	{regexp.MustCompile(`^slice\.C\.Stop$`), "the last index stays the same"},
	{regexp.MustCompile(`^input\.(A|B|Rounding)$`), "every pixel keeps its code: no tie is near, or a tie goes up anyway"},
	{regexp.MustCompile(`^table\.Codes$`), "no operand has the code"},
	{regexp.MustCompile(`\.WeightGrid\.(BitWidth|Narrow|Reciprocal)$`), "says how weights were rounded and are packed; a code means the same"},
	{regexp.MustCompile(`\.WeightGrid\.Scale$`), "an ulp: the multiplier ships as a number of its own, held to the scales within a millionth"},
	{regexp.MustCompile(`^linear\.Grid\.`), "logits have no grid of their own"},
	{regexp.MustCompile(`\.Requant\.DoubleRounding$`), "belongs to the fixed-point rule"},
	{regexp.MustCompile(`\.Requant\.ZeroPoint$`), "the shift rule adds none"},
	{regexp.MustCompile(`^concat\.Requant\.Lo$`), "an operand without a sign never falls below it"},
	{regexp.MustCompile(`^(concat|requantize)\.Requant\.MidRise$`), "a whole multiple needs no rounding"},
	{regexp.MustCompile(`\.(Requant\.Multiplier|Rule\.Scale[XY])$`), "an ulp, where no sum that can occur is next to a tie"},
}

// A fate is what becomes of a planted change.
type fate int

const (
	refused   fate = iota // by the builder
	seen                  // by Verify
	seenAlone             // by Verify, planted behind the back of the builder
	excused               // the operation is the same function
	unseen
	fates
)

func (f fate) String() string {
	return [...]string{"refused", "seen", "seen behind the builder", "excused", "unseen"}[f]
}

// tally counts fates.
type tally [fates]int

func (t tally) String() string {
	var s []string
	for f, n := range t {
		if n > 0 {
			s = append(s, fmt.Sprintf("%d %v", n, fate(f)))
		}
	}
	return strings.Join(s, ", ")
}

type planting struct {
	t       *testing.T
	graph   *autograd.Graph
	ds      datasets.Dataset
	model   *integer.Model
	codes   [][]int64         // that can occur
	fields  map[string]*tally // by operation and field
	overall tally
}

func newPlanting(t *testing.T, q *autograd.Graph, ds datasets.Dataset) *planting {
	t.Helper()
	p := &planting{t: t, graph: q, ds: ds, fields: map[string]*tally{}}
	var err error
	if p.model, err = Lower(q); err != nil {
		t.Fatal(err)
	}
	if p.differs(p.model) {
		t.Fatal("codes differ before anything is altered")
	}
	p.codes = possible(p.model)
	return p
}

var index = regexp.MustCompile(`\[\d+\]`)

// plant makes every change of one constant.
func (p *planting) plant(c constant) {
	n := &p.model.Nodes[c.node]
	key := n.Op.Kind() + "." + index.ReplaceAllString(c.path, "")
	if p.fields[key] == nil {
		p.fields[key] = &tally{}
	}
	var missed []change
	broken := false // an ulp breaks a tie
	for _, ch := range c.changes() {
		f := p.fate(c, ch)
		if f == excused && !slices.ContainsFunc(excuses, func(e excuse) bool { return e.field.MatchString(key) }) {
			p.t.Errorf("%s: %s changed by %s changes nothing, for no known reason", n.Name, c.path, ch.name)
		}
		p.fields[key][f]++
		p.overall[f]++
		if f == unseen {
			missed = append(missed, ch)
		}
		broken = broken || ch.ulp && (f == seen || f == seenAlone)
	}
	for _, ch := range missed {
		if !ch.ulp || !broken { // a tie is broken in one direction only
			p.t.Errorf("%s (%s): %s changed by %s: nobody sees it", n.Name, n.Op.Kind(), c.path, ch.name)
		}
	}
}

// fate plants one change.
func (p *planting) fate(c constant, ch change) fate {
	op := c.altered(p.model, ch)
	found := seen
	m, err := rebuilt(p.model, func(i int, n *integer.Node) {
		if i == c.node {
			n.Op = op
		}
	})
	switch {
	case err == nil:
		op = m.Nodes[c.node].Op // as the builder completed it
	case double.MatchString(c.path):
		m, found = swapped(p.model, c.node, op), seenAlone
	default:
		return refused
	}
	switch {
	case p.differs(m):
		return found
	case same(p.model, p.codes, c.node, op):
		return excused
	}
	return unseen
}

// double are the constants that say what the grids say as well: the builder compares.
var double = regexp.MustCompile(`^Requant(\[\d+\])?\.(Shift|Multiplier|MidRise|ZeroPoint)|^Rule\.(FA|FB|FX|FY|Ma|Mb|Za|Zb|Zy|ScaleX|ScaleY|MidRise|Subtract)`)

// differs reports whether Verify sees that the model is another one: on a few images if
// that is enough.
func (p *planting) differs(m *integer.Model) bool {
	for _, images := range []int{3, p.ds.Info().N} {
		d, err := VerifyModel(context.Background(), m, p.graph, p.ds, VerifyOptions{Images: images, Batch: images, Workers: 1})
		if errors.Is(err, ErrMismatch) {
			return true
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if d.Mismatches > 0 {
			return true
		}
	}
	return false
}
