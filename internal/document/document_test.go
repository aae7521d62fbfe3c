package document_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/bitgrad/bitgrad/internal/document"
)

type common struct {
	Seed uint64 `yaml:"seed"`
}

// word reads itself, so that its fields are no fields of the document.
type word struct{ Text string }

func (w *word) UnmarshalYAML(n *yaml.Node) error {
	w.Text = n.Value
	return nil
}

type configuration struct {
	Name  string `yaml:"name"`
	Word  word   `yaml:"word"`
	Inner struct {
		Epochs int `yaml:"epochs"`
	} `yaml:"inner"`
	common `yaml:",inline"`
	Hidden string `yaml:"-"`
	None   string
}

// read is the program of the package comment.
func read(text []byte, config *configuration) error {
	root, err := document.Parse(text)
	if err != nil || root == nil { // nil: an empty document
		return err
	}
	err = document.Decode(root, config)
	return err
}

func TestDecode(t *testing.T) {
	c := configuration{Name: "before", common: common{7}}
	if err := read(nil, &c); err != nil || c.Name != "before" {
		t.Errorf("an empty document: %+v, %v", c, err)
	}
	if err := read([]byte("word: x\ninner: {epochs: 3}\n"), &c); err != nil || c.Word.Text != "x" || c.Inner.Epochs != 3 || c.Seed != 7 {
		t.Errorf("got %+v, %v", c, err)
	}
	for text, says := range map[string]string{
		"nam: x":                      `line 1: there is no field nam; nearest: "name"`,
		"name: x\ninner:\n  epoch: 3": `line 3: there is no field inner.epoch; nearest: "epochs"`,
		"sede: 1":                     `line 1: there is no field sede; nearest: "seed"`,
		"Hidden: x":                   "line 1: there is no field Hidden",
		"-: x":                        "line 1: there is no field -",
		"None: x":                     "line 1: there is no field None",
		"inner: 3":                    "line 1: inner must be a mapping of names to values",
		"[1]":                         "line 1: must be a mapping of names to values",
		"seed: -1":                    "line 1: cannot unmarshal !!int `-1` into uint64",
		"name: a\nname: b":            `mapping key "name" already defined at line 1`,
		"a: b: c":                     "mapping values are not allowed in this context",
	} {
		if err := read([]byte(text), &c); err == nil || !strings.HasPrefix(strings.TrimPrefix(err.Error(), "line 2: "), says) {
			t.Errorf("%q: got %v, want %s", text, err, says)
		}
	}
}
