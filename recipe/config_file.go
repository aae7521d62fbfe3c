package recipe

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bitgrad/bitgrad/internal/glob"
)

// ReadConfig reads a configuration document, YAML or JSON. Fields that it leaves out are
// those of [Default] for its data set; data, unless empty, names another one. A
// field that does not exist is an error that offers the nearest.
func ReadConfig(path, data string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("recipe: configuration: %w", err)
	}
	c, err := ParseConfig(text, data)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig is [ReadConfig] for the text of a document.
func ParseConfig(text []byte, data string) (Config, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return Config{}, configError("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 { // an empty document
		return Default(data)
	}
	if err := checkFields(doc.Content[0], reflect.TypeFor[Config](), ""); err != nil {
		return Config{}, err
	}
	var named struct {
		Data string `yaml:"data"`
	}
	if err := doc.Decode(&named); err != nil {
		return Config{}, decodeError(err)
	}
	if data == "" {
		data = named.Data
	}
	c, err := Default(data)
	if err != nil {
		return c, err
	}
	if err := doc.Decode(&c); err != nil {
		return c, decodeError(err)
	}
	if data != "" {
		c.Data = data
	}
	return c, nil
}

func decodeError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	return configError("%s", strings.Join(strings.Fields(text), " "))
}

// checkFields refuses names in a mapping that the struct t does not have.
func checkFields(n *yaml.Node, t reflect.Type, prefix string) error {
	if n.Kind != yaml.MappingNode {
		return configError("line %d: %smust be a mapping of names to values", n.Line, prefix)
	}
	fields := map[string]reflect.Type{}
	var names []string
	var collect func(t reflect.Type)
	collect = func(t reflect.Type) {
		for f := range t.Fields() {
			name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if option == "inline" {
				collect(f.Type)
				continue
			}
			fields[name] = f.Type
			names = append(names, name)
		}
	}
	collect(t)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		field, ok := fields[key.Value]
		if !ok {
			return configError("line %d: there is no field %s%s%s", key.Line, prefix, key.Value, glob.Hint(key.Value, names))
		}
		if field.Kind() == reflect.Struct {
			if err := checkFields(n.Content[i+1], field, prefix+key.Value+"."); err != nil {
				return err
			}
		}
	}
	return nil
}

// encode returns the document of a resolved configuration.
func (c Config) encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# What determines the result of this run, complete. bitgrad train --config FILE repeats it.\n")
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(c); err != nil {
		return nil, fmt.Errorf("recipe: configuration: %w", err)
	}
	return b.Bytes(), e.Close()
}
