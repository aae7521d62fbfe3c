package netfile

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestThePage holds docs/networks.md to the layers and fields that there are.
func TestThePage(t *testing.T) {
	page, err := os.ReadFile("../docs/networks.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	words := regexp.MustCompile("`([a-z0-9_]+)`")
	list := func(cell string) (found []string) {
		for _, m := range words.FindAllStringSubmatch(cell, -1) {
			found = append(found, m[1])
		}
		return found
	}
	_, table, _ := strings.Cut(string(page), "| layer | fields |")
	table, values, _ := strings.Cut(table, "| field | values |")
	for _, row := range strings.Split(table, "\n") {
		if cells := strings.Split(row, "|"); len(cells) > 3 {
			for _, kind := range list(cells[1]) {
				documented[kind] = list(cells[2])
				slices.Sort(documented[kind])
			}
		}
	}
	for _, kind := range Kinds() {
		fields := fieldsOf(reflect.TypeOf(kinds[kind]()).Elem())
		slices.Sort(fields)
		if !slices.Equal(documented[kind], fields) {
			t.Errorf("%s has the fields %q, the page says %q", kind, fields, documented[kind])
		}
		delete(documented, kind)
	}
	for kind := range documented {
		t.Errorf("the page has a layer %s", kind)
	}
	for word := range activations {
		if !strings.Contains(values, "`"+word+"`") {
			t.Errorf("the page does not list the activation %s", word)
		}
	}
}

func fieldsOf(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		switch name, option, _ := strings.Cut(f.Tag.Get("yaml"), ","); {
		case option == "inline":
			names = append(names, fieldsOf(f.Type)...)
		case name != "" && name != "-":
			names = append(names, name)
		}
	}
	return names
}

// TestTheDescriptionsOfThePage builds what the page shows, and the file that it names.
func TestTheDescriptionsOfThePage(t *testing.T) {
	page, err := os.ReadFile("../docs/networks.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("the page shows none")
	}
	for _, b := range blocks {
		if err := parsed(t, b[1]).Build().Graph.Err(); err != nil {
			t.Errorf("%v in\n%s", err, b[1])
		}
	}
	d, err := Read("../examples/nets/residual.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Build().Graph.Err(); err != nil {
		t.Error(err)
	}
}
