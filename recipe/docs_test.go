package recipe

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/fakequant"
)

// TestTheConfigurationPage holds docs/configuration.md to the fields that there are, and its
// documents and rules to what is read.
func TestTheConfigurationPage(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	var want []string
	var collect func(prefix string, typ reflect.Type)
	collect = func(prefix string, typ reflect.Type) {
		for f := range typ.Fields() {
			name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case option == "inline":
				collect(prefix, f.Type)
			case f.Type.Kind() == reflect.Struct:
				collect(name+".", f.Type)
			default:
				want = append(want, prefix+name)
			}
		}
	}
	collect("", reflect.TypeFor[Config]())
	quoted := regexp.MustCompile("`([^`]+)`")
	firstCells := func(table string) (found []string) {
		_, rows, _ := strings.Cut(page, table)
		rows, _, _ = strings.Cut(rows, "\n\n")
		for _, row := range strings.Split(rows, "\n") {
			if cells := strings.Split(row, "|"); len(cells) > 2 {
				for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
					found = append(found, m[1])
				}
			}
		}
		return found
	}
	got := firstCells("| field | flag |")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the page has the fields\n%q\nthere are\n%q", got, want)
	}
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		c, err := ParseConfig([]byte(block[1]), "")
		if err == nil {
			err = c.Validate()
		}
		if err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
	}
	rules := firstCells("| rule | meaning |")
	if len(rules) == 0 {
		t.Error("the page has no rules")
	}
	for _, r := range rules {
		if _, err := fakequant.ParseRule(r); err != nil {
			t.Error(err)
		}
	}
}
