// Package document reads YAML, and with it JSON, strictly: a field that does not
// exist is an error that names the line and offers the nearest.
//
//	root, err := document.Parse(text)
//	if err != nil || root == nil { // nil: an empty document
//		return err
//	}
//	err = document.Decode(root, config)
package document

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bitgrad/bitgrad/internal/glob"
)

// Parse returns the root of a document, nil where it is empty.
func Parse(text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, plain(err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// Decode sets the fields of the struct that v points to, as their yaml tags say. What n
// leaves out keeps its value.
func Decode(n *yaml.Node, v any) error {
	if err := checkFields(n, reflect.TypeOf(v).Elem(), ""); err != nil {
		return err
	}
	if err := n.Decode(v); err != nil {
		return plain(err)
	}
	return nil
}

// plain takes off what the library puts around its messages.
func plain(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	return errors.New(strings.Join(strings.Fields(text), " "))
}

// checkFields refuses names in a mapping that the struct t does not have.
func checkFields(n *yaml.Node, t reflect.Type, prefix string) error {
	if n.Kind != yaml.MappingNode {
		if prefix == "" {
			return fmt.Errorf("line %d: must be a mapping of names to values", n.Line)
		}
		return fmt.Errorf("line %d: %s must be a mapping of names to values", n.Line, strings.TrimSuffix(prefix, "."))
	}
	fields := map[string]reflect.Type{}
	var names []string
	var collect func(t reflect.Type)
	collect = func(t reflect.Type) {
		for f := range t.Fields() {
			switch name, option, _ := strings.Cut(f.Tag.Get("yaml"), ","); {
			case option == "inline":
				collect(f.Type)
			case name != "" && name != "-":
				fields[name] = f.Type
				names = append(names, name)
			}
		}
	}
	collect(t)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		field, ok := fields[key.Value]
		if !ok {
			return fmt.Errorf("line %d: there is no field %s%s%s", key.Line, prefix, key.Value, glob.Hint(key.Value, names))
		}
		if field.Kind() == reflect.Struct && !reflect.PointerTo(field).Implements(custom) {
			if err := checkFields(n.Content[i+1], field, prefix+key.Value+"."); err != nil {
				return err
			}
		}
	}
	return nil
}

// custom types read their values themselves.
var custom = reflect.TypeFor[yaml.Unmarshaler]()
