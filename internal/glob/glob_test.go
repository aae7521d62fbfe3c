package glob

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "stage1.block0.conv1.weight", true},
		{"**", "a", true},
		{"conv1", "conv1", true},
		{"conv1", "conv10", false},
		{"conv1", "xconv1", false},
		{"conv?", "conv1", true},
		{"conv?", "conv", false},
		{"conv?", "conv10", false},
		{"stage1.*", "stage1.block0.conv1", true},
		{"stage1.*", "stage10.block0", false},
		{"*.bn.*", "conv1.bn.weight", true},
		{"*.bn.*", "conv1.bn", false},
		{"*.weight", "fc.weight", true},
		{"*.weight", "fc.weight.range", false},
		{"s*1.*1", "stage1.block1.conv1", true},
		{"a*b*c", "abbcbc", true},
		{"a*b*c", "abbcb", false},
		{"*a*a*a*a*b", strings.Repeat("a", 60), false},
		{"[a]", "a", false}, // no character classes
		{"[a]", "[a]", true},
		{"?", "é", true},
		{"*é", "café", true},
		{"?", "\xff", true},
	}
	for _, tt := range tests {
		if got := Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

// A regular expression says the same in another way.
func TestMatchAgreesWithRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab.*?]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab.]{0,10}`).Draw(t, "name")
		expr := regexp.QuoteMeta(pattern)
		expr = strings.ReplaceAll(expr, `\*`, `.*`)
		expr = strings.ReplaceAll(expr, `\?`, `.`)
		want := regexp.MustCompile(`^(?s:` + expr + `)$`).MatchString(name)
		if got := Match(pattern, name); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Match("stage*.block?.conv*", "stage1.block0.conv1") }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
}

func TestAny(t *testing.T) {
	names := []string{"conv1", "fc1"}
	if !Any("fc*", names) {
		t.Error(`Any("fc*") = false`)
	}
	if Any("bn*", names) {
		t.Error(`Any("bn*") = true`)
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"kitten", "sitting", 3},
		{"conv", "cnov", 1},
		{"ca", "abc", 3}, // no substring is edited twice
		{"lenet", "lenet", 0},
	}
	for _, tt := range tests {
		if got := distance([]rune(tt.a), []rune(tt.b)); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestDistanceIsSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := []rune(rapid.StringMatching(`[abc]{0,8}`).Draw(t, "a"))
		b := []rune(rapid.StringMatching(`[abc]{0,8}`).Draw(t, "b"))
		if ab, ba := distance(a, b), distance(b, a); ab != ba {
			t.Fatalf("distance %d one way, %d the other", ab, ba)
		}
	})
}

func TestNearest(t *testing.T) {
	nets := []string{"lenet", "mlp", "resnet8", "resnet20", "cifar10full", "mobilenet"}
	tests := []struct {
		name string
		want []string
	}{
		{"lent", []string{"lenet"}},
		{"LeNet5", []string{"lenet", "resnet8"}},
		{"resnet18", []string{"resnet8", "resnet20"}},
		{"mobilnet", []string{"mobilenet"}},
		{"completely-else", nil},
		{"", nil},
	}
	for _, tt := range tests {
		got := Nearest(tt.name, nets)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Nearest(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := Nearest("*cnov1*", []string{"fc1", "conv1", "conv1", "conv2", "conv3", "conv4"}); !reflect.DeepEqual(got, []string{"conv1", "conv2", "conv3"}) {
		t.Errorf("Nearest of a pattern = %q", got)
	}
}

func TestHint(t *testing.T) {
	if got, want := Hint("conv3", []string{"conv1", "fc"}), `; nearest: "conv1"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Hint("zzz", []string{"conv1"}); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

func ExampleMatch() {
	fmt.Println(Match("stage?.*.conv1", "stage2.block0.conv1"))
	fmt.Println(Match("*.bias", "conv1.weight"))
	// Output:
	// true
	// false
}
