package recipe

import (
	"bytes"
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/bitgrad/bitgrad/internal/document"
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
	root, err := document.Parse(text)
	if err != nil {
		return Config{}, configError("%v", err)
	}
	if root == nil {
		return Default(data)
	}
	var named Config
	if err := document.Decode(root, &named); err != nil {
		return Config{}, configError("%v", err)
	}
	if data == "" {
		data = named.Data
	}
	c, err := Default(data)
	if err != nil {
		return c, err
	}
	if err := document.Decode(root, &c); err != nil {
		return c, configError("%v", err)
	}
	if data != "" {
		c.Data = data
	}
	return c, nil
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
