package recipe

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
)

// A Blueprint is what it takes to build a network again: it travels in the
// header of every file of weights.
type Blueprint struct {
	Net string `json:"net"`
	// Network is the text of the network's description, empty for a reference
	// network.
	Network string    `json:"network,omitempty"`
	Classes int       `json:"classes"`
	C       int       `json:"c"`
	H       int       `json:"h"`
	W       int       `json:"w"`
	Mean    []float32 `json:"mean"`
	Std     []float32 `json:"std"`
	Float   bool      `json:"float_input"`
	// Quant and Rules are how the network was prepared; Quant is Float where it
	// was not.
	Quant string   `json:"quant"`
	Rules []string `json:"rules"`
	// Data is the name of the data set that the network was trained on, no path.
	Data string `json:"data"`
}

// newBlueprint returns the blueprint of the network of c for a data set.
func newBlueprint(c Config, info datasets.Info) (Blueprint, error) {
	make, err := design(c.Net, c.Network)
	if err != nil {
		return Blueprint{}, err
	}
	b := Blueprint{Net: c.Net, Network: c.Network, Classes: info.Classes, C: info.C, H: info.H, W: info.W, Float: info.Float,
		Quant: c.Quant, Rules: append([]string{}, c.Rules...), Data: info.Name}
	own := make().Input
	if c.Normalize == "net" && !info.Float && own.C == info.C && own.H == info.H && own.W == info.W {
		b.Mean, b.Std = own.Mean, own.Std
		return b, nil
	}
	b.Mean, b.Std = info.Mean, info.Std
	return b, nil
}

// decodeBlueprint reads a blueprint from the header of a file.
func decodeBlueprint(text string) (Blueprint, error) {
	var b Blueprint
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return b, fmt.Errorf("%w: blueprint: %w", ErrWeights, err)
	}
	const most = 1 << 14
	for _, n := range []int{b.Classes, b.C, b.H, b.W} {
		if n < 1 || n > most {
			return b, fmt.Errorf("%w: blueprint: [%d %d %d], %d classes: each must be 1 to %d", ErrWeights, b.C, b.H, b.W, b.Classes, most)
		}
	}
	return b, nil
}

// build returns the float network.
func (b Blueprint) build() (*layers.Net, error) {
	make, err := design(b.Net, b.Network)
	if err != nil {
		return nil, err
	}
	net := make(layers.WithClasses(b.Classes),
		layers.WithInput(layers.Input{C: b.C, H: b.H, W: b.W, Mean: b.Mean, Std: b.Std, Float: b.Float}))
	if err := net.Graph.Err(); err != nil {
		return nil, err
	}
	if net.Classes != b.Classes {
		return nil, configError("network %s tells %d classes apart, the data has %d: end it with {linear: NAME, out: classes}", b.Net, net.Classes, b.Classes)
	}
	return net, nil
}

// prepare returns the quantization-aware graph of a network of this blueprint.
func (b Blueprint) prepare(g *autograd.Graph) (*autograd.Graph, *fakequant.Report, error) {
	base, rules, err := Config{Quant: b.Quant, Rules: b.Rules}.quantization()
	if err != nil {
		return nil, nil, err
	}
	return fakequant.Prepare(g, base, rules...)
}

// fits reports why images of a data set cannot be fed to the network.
func (b Blueprint) fits(info datasets.Info) error {
	if b.C != info.C || b.H != info.H || b.W != info.W || b.Float != info.Float {
		return configError("%s holds images [%d %d %d], the network %s takes [%d %d %d]", info.Name, info.C, info.H, info.W, b.Net, b.C, b.H, b.W)
	}
	if b.Classes < info.Classes {
		return configError("%s has %d classes, the network %s tells %d apart", info.Name, info.Classes, b.Net, b.Classes)
	}
	return nil
}
