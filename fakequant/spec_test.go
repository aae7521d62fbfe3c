package fakequant

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/quant"
)

// drawnSpec draws any spec that has a text.
func drawnSpec(t *rapid.T) Spec {
	bits := rapid.SampledFrom([]int{0, 1, 2, 7, 8, 16, 32})
	length := func(name string) *int {
		if !rapid.Bool().Draw(t, name) {
			return nil
		}
		v := rapid.IntRange(-126, 126).Draw(t, name+" value")
		return &v
	}
	flag := func(name string) *bool {
		if !rapid.Bool().Draw(t, name) {
			return nil
		}
		v := rapid.Bool().Draw(t, name+" value")
		return &v
	}
	return Spec{
		Scheme:     rapid.SampledFrom([]Scheme{Inherit, FixedPoint, Integer}).Draw(t, "scheme"),
		WeightBits: bits.Draw(t, "w"), OutBits: bits.Draw(t, "a"), InBits: bits.Draw(t, "in"),
		WeightFL: length("wfl"), OutFL: length("afl"), InFL: length("ifl"),
		PerChannel: flag("per-channel"), Affine: flag("affine"), Narrow: flag("narrow"),
		Estimator: rapid.SampledFrom([]Estimator{nil, STE{}, LSQ{}, TQT{}}).Draw(t, "estimator"),
		Observer:  rapid.SampledFrom([]Observer{nil, MinMax{}, MovingAverage{}, MSE{}}).Draw(t, "observer"),
	}
}

func TestSpecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawnSpec(t)
		if reflect.DeepEqual(p, Spec{}) || reflect.DeepEqual(p, Spec{Scheme: p.Scheme}) {
			return // nothing to write: a spec names something
		}
		got, err := ParseSpec(p.String())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, p) {
			t.Fatalf("%q reads as %q", p, got)
		}
		r := Rule{Match: rapid.SampledFrom([]string{"fc*", "kind:conv2d", "input", "stage1.*"}).Draw(t, "match"), Spec: p}
		rule, err := ParseRule(r.String())
		if err != nil || !reflect.DeepEqual(rule, r) {
			t.Fatalf("rule %q reads as %q, %v", r, rule, err)
		}
	})
	if s := (Spec{Scheme: Float, WeightBits: 4}).String(); s != "float" {
		t.Errorf("float prints as %q", s)
	}
	if p, err := ParseSpec("float"); err != nil || p.Scheme != Float {
		t.Errorf("float reads as %+v, %v", p, err)
	}
}

func TestParseSpec(t *testing.T) {
	yes, no, seven, minus := true, false, 7, -3
	for text, want := range map[string]Spec{
		"dfp:w4a8":                    {Scheme: FixedPoint, WeightBits: 4, OutBits: 8},
		"int8:w8a8,per-channel":       {Scheme: Integer, WeightBits: 8, OutBits: 8, PerChannel: &yes},
		"w2a4":                        {WeightBits: 2, OutBits: 4},
		"a32":                         {OutBits: 32},
		"afl=7":                       {OutFL: &seven},
		"dfp:wfl=7,ifl=-3,in=4":       {Scheme: FixedPoint, WeightFL: &seven, InFL: &minus, InBits: 4},
		"w8,full,symmetric,ste,ema":   {WeightBits: 8, Narrow: &no, Affine: &no, Estimator: STE{}, Observer: MovingAverage{}},
		"w8,narrow,affine,mse,lsq":    {WeightBits: 8, Narrow: &yes, Affine: &yes, Estimator: LSQ{}, Observer: MSE{}},
		"per-tensor,tqt,minmax":       {PerChannel: &no, Estimator: TQT{}, Observer: MinMax{}},
		"w8,per-tensor,per-channel":   {WeightBits: 8, PerChannel: &yes}, // the last counts
		"int8:w1a16,in=32,per-tensor": {Scheme: Integer, WeightBits: 1, OutBits: 16, InBits: 32, PerChannel: &no},
	} {
		got, err := ParseSpec(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestParseSpecErrors(t *testing.T) {
	const widths = ": quant: bit width %: must be 1 to 16, or 32 for float"
	width := func(n string) string { return strings.Replace(widths, "%", n, 1) }
	for text, want := range map[string]string{
		"":                      ": names no bit widths: write for example dfp:w4a8",
		"dfp:":                  ": names no bit widths: write for example dfp:w4a8",
		"int8":                  ": names no bit widths: write for example dfp:w4a8",
		"foo:w4":                `: scheme "foo": use dfp or int8`,
		"w0":                    width("0"),
		"w33":                   width("33"),
		"a17":                   width("17"),
		"w4,in=0":               width("0"),
		"w99999999999999999999": width("99999999999999999999"),
		"w4,perchannel":         `: no option is named "perchannel"; nearest: "per-channel"`,
		"w4,PER-CHANNEL":        `: no option is named "PER-CHANNEL"; nearest: "per-channel"`,
		"dfp:w4a8,lqs":          `: no option is named "lqs"; nearest: "lsq"`,
		"w4,bfl=2":              `: no option is named "bfl"; nearest: "wfl", "afl", "ifl"`,
		"w4a":                   `: no option is named "w4a"`,
		"W4A8":                  `: no option is named "W4A8"`,
		"float,w3":              `: no option is named "float"`,
		"w4,":                   ": an option is empty",
		",":                     ": an option is empty",
		"w4,,ste":               ": an option is empty",
		"w4,in=x":               `: option "in=x": "x" is not a whole number`,
		"w8,wfl=3x":             `: option "wfl=3x": "3x" is not a whole number`,
		"w4,afl=127":            `: option "afl=127": a fractional length is -126 to 126`,
		"w4,wfl=-127":           `: option "wfl=-127": a fractional length is -126 to 126`,
	} {
		_, err := ParseSpec(text)
		if !errors.Is(err, ErrSpec) || err.Error() != `fakequant: invalid quantization: "`+text+`"`+want {
			t.Errorf("%q: %v", text, err)
		}
		if strings.Contains(want, "bit width") && strings.Contains(want, "quant:") && !errors.Is(err, quant.ErrBitWidth) {
			t.Errorf("%q: %v does not wrap quant.ErrBitWidth", text, err)
		}
	}
	for text, want := range map[string]string{
		"conv1":  `fakequant: invalid quantization: rule "conv1": write GLOB=SPEC, for example fc*=w2a4`,
		"=w4":    `fakequant: invalid quantization: rule "=w4": write GLOB=SPEC, for example fc*=w2a4`,
		"a=":     `rule "a=": fakequant: invalid quantization: "": names no bit widths: write for example dfp:w4a8`,
		"a=b=c":  `rule "a=b=c": fakequant: invalid quantization: "b=c": option "b=c": "c" is not a whole number`,
		"fc=w40": `rule "fc=w40": fakequant: invalid quantization: "w40": quant: bit width 40: must be 1 to 16, or 32 for float`,
	} {
		if _, err := ParseRule(text); !errors.Is(err, ErrSpec) || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestSpecOver: fields that are set win, others are inherited; a change of scheme
// drops what belongs to the old one.
func TestSpecOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, base := drawnSpec(t), drawnSpec(t)
		got := p.over(base)
		inherit := base
		if p.Scheme != Inherit && p.Scheme != base.Scheme {
			inherit.Estimator, inherit.Observer, inherit.WeightFL, inherit.OutFL, inherit.InFL = nil, nil, nil, nil, nil
		}
		vp, vb, vg := reflect.ValueOf(p), reflect.ValueOf(inherit), reflect.ValueOf(got)
		for i := range vp.NumField() {
			want := vb.Field(i)
			if !vp.Field(i).IsZero() {
				want = vp.Field(i)
			}
			if !reflect.DeepEqual(vg.Field(i).Interface(), want.Interface()) {
				t.Fatalf("%s of %q over %q: %v", vp.Type().Field(i).Name, p, base, vg.Field(i))
			}
		}
	})
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"dfp:w4a8", "int8:w8a8,per-channel", "float", "w2,in=8,afl=-3,mse", "w,a=", ":::", "dfp:w4a8,\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseSpec(s)
		if err != nil {
			if !errors.Is(err, ErrSpec) {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseSpec(p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q prints as %q, which reads as %+v, %v", s, p, again, err)
		}
	})
}

// TestTheSpecificationPage holds docs/configuration.md to the words that ParseSpec reads.
func TestTheSpecificationPage(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "| word | meaning |")
	table, _, _ = strings.Cut(table, "\n\n")
	if !ok {
		t.Fatal("the page has no table of words")
	}
	var words []string
	for _, row := range strings.Split(table, "\n") {
		if cells := strings.Split(row, "|"); len(cells) > 2 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				words = append(words, m[1])
			}
		}
	}
	for _, o := range options {
		if !slices.ContainsFunc(words, func(w string) bool { key, _, _ := strings.Cut(w, "="); return key == o }) {
			t.Errorf("the page does not have %s", o)
		}
	}
	for _, w := range words {
		text := w
		if strings.HasSuffix(w, ":") {
			text += "w4"
		}
		p, err := ParseSpec(text)
		if err != nil || p.String() != text {
			t.Errorf("%s is read as %s: %v", text, p, err)
		}
	}
}
