package recipe

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/files"
)

// A file of weights is a safetensors file: every parameter and every state of a
// graph by name, and in its metadata "format": "bitgrad.weights", "version" and
// the blueprint.
const (
	weightsFormat  = "bitgrad.weights"
	weightsVersion = "1"
)

// saveWeights writes the parameters and states of g.
func saveWeights(path string, g *autograd.Graph, b Blueprint) error {
	var tensors []files.Tensor
	for _, p := range g.Params() {
		tensors = append(tensors, files.FromFloat32s(p.Name, p.Shape, p.Value))
	}
	for _, s := range g.States() {
		tensors = append(tensors, files.FromFloat32s(s.Name, []int{len(s.Value)}, s.Value))
	}
	text, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("recipe: blueprint: %w", err)
	}
	return files.SaveSafetensors(path, tensors, map[string]string{
		"format": weightsFormat, "version": weightsVersion, "blueprint": string(text),
	})
}

// errNoBlueprint marks a safetensors file that this package did not write.
var errNoBlueprint = errors.New("it has no blueprint")

// readWeights reads a file of weights and its blueprint.
func readWeights(path string) (*files.File, Blueprint, error) {
	f, err := files.LoadSafetensors(path)
	if err != nil {
		return nil, Blueprint{}, fmt.Errorf("recipe: weights: %w", err)
	}
	meta := f.Metadata()
	switch {
	case meta["format"] != weightsFormat:
		return f, Blueprint{}, fmt.Errorf("%w: %s: %w", ErrWeights, path, errNoBlueprint)
	case meta["version"] != weightsVersion:
		return nil, Blueprint{}, fmt.Errorf("%w: %s: version %.40q: this program reads %q", ErrWeights, path, meta["version"], weightsVersion)
	case !f.Sealed():
		return nil, Blueprint{}, fmt.Errorf("%w: %s: the checksum is missing", ErrWeights, path)
	}
	b, err := decodeBlueprint(meta["blueprint"])
	if err != nil {
		return nil, b, fmt.Errorf("%s: %w", path, err)
	}
	return f, b, nil
}

// restore sets every parameter and state of g from f: all of them, no more, and
// finite. Where something is wrong nothing is changed.
func restore(g *autograd.Graph, f *files.File, path string) error {
	type target struct {
		shape []int
		value []float32
		param *autograd.Param
		data  []float32
	}
	targets := map[string]*target{}
	for _, p := range g.Params() {
		targets[p.Name] = &target{shape: p.Shape, value: p.Value, param: p}
	}
	for _, s := range g.States() {
		targets[s.Name] = &target{shape: []int{len(s.Value)}, value: s.Value}
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrWeights, path, fmt.Sprintf(format, args...))
	}
	for _, t := range f.Tensors() {
		k := targets[t.Name]
		if k == nil {
			return fail("%s belongs to nothing in the network", t.Name)
		}
		if !slices.Equal(k.shape, t.Shape) {
			return fail("%s has shape %v, the network's has %v", t.Name, t.Shape, k.shape)
		}
		data, err := t.Float32s()
		if err != nil {
			return fail("%s: %v", t.Name, err)
		}
		for i, x := range data {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fail("%s holds %v at element %d", t.Name, x, i)
			}
		}
		k.data = data
	}
	for _, name := range sortedNames(targets) {
		if targets[name].data == nil {
			return fail("%s is missing", name)
		}
	}
	for _, k := range targets {
		copy(k.value, k.data)
		if k.param != nil {
			k.param.Touch()
		}
	}
	return nil
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
