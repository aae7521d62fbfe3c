package fakequant

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/quant"
)

// Errors of this package wrap one of these.
var (
	// ErrSpec marks a specification that cannot be understood or carried out.
	ErrSpec = errors.New("fakequant: invalid quantization")
	// ErrRule marks a rule that matches nothing.
	ErrRule = errors.New("fakequant: rule matches nothing")
	// ErrNotCalibrated marks a quantizer that has no range yet.
	ErrNotCalibrated = errors.New("fakequant: not calibrated")
)

// Scheme is a family of grids.
type Scheme uint8

const (
	// Inherit leaves the scheme to the base spec.
	Inherit Scheme = iota
	// FixedPoint is dynamic fixed point: the scale is 2^-fl, with a bit width
	// and a fractional length fl of its own for every tensor. Requantization
	// is a shift.
	FixedPoint
	// Integer has a float32 scale, and a zero point where the format is affine.
	// Requantization is a float32 multiply.
	Integer
	// Float leaves a node unquantized.
	Float
)

var schemeNames = [...]string{"inherit", "dfp", "int8", "float"}

// String returns the name that ParseSpec reads.
func (s Scheme) String() string {
	if int(s) < len(schemeNames) {
		return schemeNames[s]
	}
	return fmt.Sprintf("scheme(%d)", uint8(s))
}

// Spec says how a node is quantized. Zero fields are inherited: those of a rule
// from the base spec, those of the base spec from the defaults.
type Spec struct {
	Scheme Scheme
	// WeightBits, OutBits and InBits are the widths of the weights, of the
	// output and, where set, of the edge into the node, which is then requantized.
	// 1 to 16; 32 means float.
	WeightBits, OutBits, InBits int
	// WeightFL, OutFL and InFL fix the fractional length (dynamic fixed point only).
	WeightFL, OutFL, InFL *int
	// PerChannel gives every output channel a weight scale of its own.
	PerChannel *bool
	// Affine lets outputs that can be negative have a zero point (integers only).
	Affine *bool
	// Narrow drops the most negative weight code.
	Narrow *bool
	// Estimator decides ranges and their gradients; nil: TQT for dynamic fixed
	// point, LSQ for integers.
	Estimator Estimator
	// Observer watches activations; nil: MSE for learned ranges, MovingAverage else.
	Observer Observer
}

// DFP returns dynamic fixed point with the given width for weights and outputs.
func DFP(bits int) Spec {
	return Spec{Scheme: FixedPoint, WeightBits: bits, OutBits: bits}
}

// Int returns integers with float scales, the given width for weights and outputs.
func Int(bits int) Spec {
	return Spec{Scheme: Integer, WeightBits: bits, OutBits: bits}
}

// W returns a spec that sets the width of weights only.
func W(bits int) Spec { return Spec{WeightBits: bits} }

// A returns a spec that sets the width of outputs only.
func A(bits int) Spec { return Spec{OutBits: bits} }

var widths = regexp.MustCompile(`^(?:w(\d+))?(?:a(\d+))?$`)

// ParseSpec reads a specification: "[scheme:]widths[,option…]" or "float".
//
//	scheme   dfp | int8
//	widths   w4a8, w4 or a8
//	options  in=8  wfl=7 afl=4 ifl=8  per-channel per-tensor  affine symmetric
//	         narrow full  ste lsq tqt  minmax ema mse
//
// Without a scheme ("w2a4") that of the base spec counts.
func ParseSpec(s string) (Spec, error) {
	var p Spec
	bad := func(why string, args ...any) (Spec, error) {
		return Spec{}, fmt.Errorf("%w: %q: %w", ErrSpec, s, fmt.Errorf(why, args...))
	}
	rest := s
	if scheme, after, ok := strings.Cut(s, ":"); ok {
		switch scheme {
		case "dfp":
			p.Scheme = FixedPoint
		case "int8", "int":
			p.Scheme = Integer
		default:
			return bad("scheme %q: use dfp or int8", scheme)
		}
		rest = after
	} else if s == "float" {
		p.Scheme = Float
		return p, nil
	}
	parts := strings.Split(rest, ",")
	if m := widths.FindStringSubmatch(parts[0]); m != nil && parts[0] != "" {
		for i, dst := range []*int{&p.WeightBits, &p.OutBits} {
			if m[i+1] == "" {
				continue
			}
			n, err := parseBits(m[i+1])
			if err != nil {
				return bad("%w", err)
			}
			*dst = n
		}
		parts = parts[1:]
	}
	if rest == "" || rest == "dfp" || rest == "int8" {
		return bad("names no bit widths: write for example dfp:w4a8")
	}
	for _, o := range parts {
		if err := p.option(o); err != nil {
			return bad("%w", err)
		}
	}
	return p, nil
}

func parseBits(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil { // more digits than an int has
		return 0, &quant.Error{What: "bit width " + s, Why: "must be 1 to 16, or 32 for float", Err: quant.ErrBitWidth}
	}
	if n != 32 && (n < 1 || n > 16) {
		return 0, bitWidthError(n)
	}
	return n, nil
}

func bitWidthError(n int) error {
	if err := (quant.UniformFormat{BitWidth: n}).Validate(); err != nil {
		return err
	}
	return quant.ErrBitWidth
}

var options = []string{"per-channel", "per-tensor", "affine", "symmetric", "narrow", "full",
	"ste", "lsq", "tqt", "minmax", "ema", "mse", "in", "wfl", "afl", "ifl"}

func (p *Spec) option(o string) error {
	if key, value, ok := strings.Cut(o, "="); ok {
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("option %q: %q is not a whole number", o, value)
		}
		switch key {
		case "in":
			p.InBits, err = parseBits(value)
			return err
		case "wfl":
			p.WeightFL = &n
		case "afl":
			p.OutFL = &n
		case "ifl":
			p.InFL = &n
		default:
			return unknownOption(key)
		}
		if n < -126 || n > 126 {
			return fmt.Errorf("option %q: a fractional length is -126 to 126", o)
		}
		return nil
	}
	yes, no := true, false
	switch o {
	case "per-channel":
		p.PerChannel = &yes
	case "per-tensor":
		p.PerChannel = &no
	case "affine":
		p.Affine = &yes
	case "symmetric":
		p.Affine = &no
	case "narrow":
		p.Narrow = &yes
	case "full":
		p.Narrow = &no
	case "ste":
		p.Estimator = STE{}
	case "lsq":
		p.Estimator = LSQ{}
	case "tqt":
		p.Estimator = TQT{}
	case "minmax":
		p.Observer = MinMax{}
	case "ema":
		p.Observer = MovingAverage{}
	case "mse":
		p.Observer = MSE{}
	default:
		return unknownOption(o)
	}
	return nil
}

func unknownOption(o string) error {
	if o == "" {
		return errors.New("an option is empty")
	}
	return fmt.Errorf("no option is named %q%s", o, glob.Hint(o, options))
}

// over returns p with its zero fields taken from base.
func (p Spec) over(base Spec) Spec {
	r := base
	if p.Scheme != Inherit {
		if p.Scheme != base.Scheme { // estimators and lengths belong to a scheme
			r.Estimator, r.Observer, r.WeightFL, r.OutFL, r.InFL = nil, nil, nil, nil, nil
		}
		r.Scheme = p.Scheme
	}
	set := func(dst *int, v int) {
		if v != 0 {
			*dst = v
		}
	}
	set(&r.WeightBits, p.WeightBits)
	set(&r.OutBits, p.OutBits)
	set(&r.InBits, p.InBits)
	keep := func(dst **int, v *int) {
		if v != nil {
			*dst = v
		}
	}
	keep(&r.WeightFL, p.WeightFL)
	keep(&r.OutFL, p.OutFL)
	keep(&r.InFL, p.InFL)
	flag := func(dst **bool, v *bool) {
		if v != nil {
			*dst = v
		}
	}
	flag(&r.PerChannel, p.PerChannel)
	flag(&r.Affine, p.Affine)
	flag(&r.Narrow, p.Narrow)
	if p.Estimator != nil {
		r.Estimator = p.Estimator
	}
	if p.Observer != nil {
		r.Observer = p.Observer
	}
	return r
}

// complete fills in the defaults and checks the result.
func (p Spec) complete() (Spec, error) {
	if p.Scheme == Inherit {
		p.Scheme = FixedPoint
	}
	if p.WeightBits == 0 {
		p.WeightBits = 8
	}
	if p.OutBits == 0 {
		p.OutBits = 8
	}
	if p.Estimator == nil {
		if p.Scheme == FixedPoint {
			p.Estimator = TQT{}
		} else {
			p.Estimator = LSQ{}
		}
	}
	if p.Observer == nil {
		if p.Estimator.Learned() {
			p.Observer = MSE{}
		} else {
			p.Observer = MovingAverage{}
		}
	}
	for _, b := range []struct {
		what string
		n    int
	}{{"weight", p.WeightBits}, {"output", p.OutBits}, {"input", p.InBits}} {
		if b.n != 0 && b.n != 32 && (b.n < 1 || b.n > 16) {
			return p, fmt.Errorf("%w: %s: %w", ErrSpec, b.what, bitWidthError(b.n))
		}
	}
	if p.Scheme != FixedPoint && (p.WeightFL != nil || p.OutFL != nil || p.InFL != nil) {
		return p, fmt.Errorf("%w: a fractional length is given, but the scheme is %s: only dfp has one", ErrSpec, p.Scheme)
	}
	if p.Scheme == FixedPoint && isTrue(p.Affine) {
		return p, fmt.Errorf("%w: dfp has no zero point: leave out affine", ErrSpec)
	}
	return p, nil
}

func isTrue(b *bool) bool { return b != nil && *b }

// String prints the spec as ParseSpec reads it, without what it inherits.
func (p Spec) String() string {
	if p.Scheme == Float {
		return "float"
	}
	var b strings.Builder
	if p.Scheme != Inherit {
		b.WriteString(p.Scheme.String() + ":")
	}
	if p.WeightBits != 0 {
		fmt.Fprintf(&b, "w%d", p.WeightBits)
	}
	if p.OutBits != 0 {
		fmt.Fprintf(&b, "a%d", p.OutBits)
	}
	sep := func(s string) {
		if b.Len() > 0 && !strings.HasSuffix(b.String(), ":") {
			b.WriteByte(',')
		}
		b.WriteString(s)
	}
	if p.InBits != 0 {
		sep(fmt.Sprintf("in=%d", p.InBits))
	}
	for _, f := range []struct {
		key string
		v   *int
	}{{"wfl", p.WeightFL}, {"afl", p.OutFL}, {"ifl", p.InFL}} {
		if f.v != nil {
			sep(fmt.Sprintf("%s=%d", f.key, *f.v))
		}
	}
	for _, f := range []struct {
		v       *bool
		yes, no string
	}{{p.PerChannel, "per-channel", "per-tensor"}, {p.Affine, "affine", "symmetric"}, {p.Narrow, "narrow", "full"}} {
		switch {
		case f.v == nil:
		case *f.v:
			sep(f.yes)
		default:
			sep(f.no)
		}
	}
	if p.Estimator != nil {
		sep(p.Estimator.Name())
	}
	if p.Observer != nil {
		sep(p.Observer.Name())
	}
	return b.String()
}

// A Rule changes the spec of the nodes that it matches. Match is a glob on the
// name of a layer ("fc*", "stage1.*"), or "kind:" and a kind of operation
// ("kind:linear"). The names "input" and "logits" are the edges of the network.
// Of several rules for one node the last counts field by field.
type Rule struct {
	Match string
	Spec  Spec
}

// ParseRule reads "GLOB=SPEC", for example "fc*=w2a4".
func ParseRule(s string) (Rule, error) {
	match, spec, ok := strings.Cut(s, "=")
	if !ok || match == "" {
		return Rule{}, fmt.Errorf("%w: rule %q: write GLOB=SPEC, for example fc*=w2a4", ErrSpec, s)
	}
	p, err := ParseSpec(spec)
	if err != nil {
		return Rule{}, fmt.Errorf("rule %q: %w", s, err)
	}
	return Rule{match, p}, nil
}

// String prints the rule as ParseRule reads it.
func (r Rule) String() string { return r.Match + "=" + r.Spec.String() }

// matches reports whether the rule applies to a layer.
func (r Rule) matches(name, kind string) bool {
	if k, ok := strings.CutPrefix(r.Match, "kind:"); ok {
		return glob.Match(k, kind)
	}
	if name == "input" || name == "logits" { // the edges are named, never globbed
		return r.Match == name
	}
	return glob.Match(r.Match, name)
}
