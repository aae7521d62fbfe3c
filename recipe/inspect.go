package recipe

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"text/tabwriter"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/train"
)

// An Inspection is what can be said of a network or a model without data.
type Inspection struct {
	Path string `json:"path"`
	Net  string `json:"net"`
	What string `json:"what"`
	// Quant and Rules are how a network was prepared.
	Quant  string   `json:"quant"`
	Rules  []string `json:"rules"`
	Params int64    `json:"params"`
	MACs   int64    `json:"macs"`
	Bytes  int64    `json:"bytes"`
	// Layers describes the nodes of an integer model, Bounds what is proved of its
	// sums.
	Layers []Layer `json:"layers"`
	Bounds []Bound `json:"bounds"`
	// Nodes says of each node of a quantized network's evaluation program whether it runs
	// on integers, what is fused into it, and if it stays on floats, why.
	Nodes []NodeRemark `json:"nodes"`

	text string
}

// Bound is what is proved of the sums of a node.
type Bound struct {
	Name        string `json:"name"`
	Worst       int64  `json:"worst"`
	Channel     int    `json:"channel"`
	Headroom    int    `json:"headroom_bits"`
	Accumulator string `json:"accumulator"`
}

// NodeRemark says how a node computes.
type NodeRemark struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Integers bool   `json:"integers"`
	Fused    string `json:"fused"`
	Why      string `json:"why"`
}

// Inspect describes something saved.
func (s *Saved) Inspect() (*Inspection, error) {
	if s.Model != nil {
		return s.inspectModel(), nil
	}
	return inspectGraph(s.Path, s.What, *s.Plan, s.Graph)
}

// InspectNet describes a reference network, or one whose description is in a file,
// quantized as quant and rules say; an empty quant means float. Ranges are those
// of random images.
func InspectNet(name, quant string, rules []string) (*Inspection, error) {
	c := Config{Net: name}
	build, err := c.designWithoutData()
	if err != nil {
		return nil, err
	}
	net := build()
	if quant == "" {
		quant = Float
	}
	plan := Blueprint{Net: c.Net, Network: c.Network, Classes: net.Classes, C: net.Input.C, H: net.Input.H, W: net.Input.W,
		Mean: net.Input.Mean, Std: net.Input.Std, Quant: quant, Rules: rules}
	what, g := "float", net.Graph
	if quant != Float {
		what = "quantized"
		if g, _, err = plan.prepare(net.Graph); err != nil {
			return nil, err
		}
		if err := plan.calibrateRandom(g); err != nil {
			return nil, err
		}
	} else if _, _, err := (Config{Quant: quant, Rules: rules}).quantization(); err != nil {
		return nil, err
	}
	return inspectGraph("", what, plan, g)
}

// calibrateRandom gives the quantizers of g the ranges of a few random images, so
// that its programs can be built.
func (b Blueprint) calibrateRandom(g *autograd.Graph) error {
	const n = 4
	random := rand.New(rand.NewPCG(1, 2))
	pixels := make([]uint8, n*b.C*b.H*b.W)
	for i := range pixels {
		pixels[i] = uint8(random.IntN(256))
	}
	ds, err := datasets.FromPixels(datasets.Info{C: b.C, H: b.H, W: b.W, Classes: b.Classes}, pixels, make([]int32, n))
	if err != nil {
		return err
	}
	return train.Calibrate(context.Background(), g, ds, train.CalibrateOptions{Images: n, Batch: n, Workers: 1})
}

func (s *Saved) inspectModel() *Inspection {
	i := &Inspection{Path: s.Path, Net: s.Model.Name, What: s.What, Rules: []string{}, Layers: Layers(s.Model), Bounds: []Bound{}, Nodes: []NodeRemark{}}
	for _, l := range i.Layers {
		i.Params += int64(l.Params)
		i.MACs += l.MACs
		i.Bytes += l.Bytes
	}
	for _, n := range s.Model.Proof().Nodes {
		if n.Accumulator.String() != "none" {
			i.Bounds = append(i.Bounds, Bound{n.Name, n.Worst, n.Channel, n.Headroom, n.Accumulator.String()})
		}
	}
	var b strings.Builder
	writeLayers(&b, i.Layers)
	b.WriteString("\nproved of the sums, whatever the input:\n" + s.Model.Proof().String())
	i.text = b.String()
	return i
}

func inspectGraph(path, what string, plan Blueprint, g *autograd.Graph) (*Inspection, error) {
	i := &Inspection{Path: path, Net: plan.Net, What: what, Quant: plan.Quant, Rules: append([]string{}, plan.Rules...),
		Layers: []Layer{}, Bounds: []Bound{}, Nodes: []NodeRemark{}}
	for _, n := range g.Nodes() {
		i.MACs += n.Spec().MACs
	}
	for _, p := range g.Params() {
		if p.Role != autograd.RangeParam {
			i.Params += int64(len(p.Value))
		}
	}
	i.Bytes = 4 * i.Params
	var b strings.Builder
	if err := g.Dump(&b); err != nil {
		return nil, err
	}
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Evaluate, Batch: 1, Outputs: []string{"logits"}})
	if err != nil {
		return nil, err
	}
	b.WriteString("\nthe evaluation program, for one image:\n")
	if err := p.Plan(&b); err != nil {
		return nil, err
	}
	if what == "quantized" {
		if err := i.explain(&b, g); err != nil {
			return nil, err
		}
	}
	i.text = b.String()
	return i, nil
}

// explain lists how the nodes compute and whether the network can be lowered.
func (i *Inspection) explain(b *strings.Builder, g *autograd.Graph) error {
	notes, err := fakequant.Explain(g, autograd.Evaluate)
	if err != nil {
		return err
	}
	for _, n := range notes {
		i.Nodes = append(i.Nodes, NodeRemark(n))
	}
	b.WriteString("\nhow its nodes compute:\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, n := range i.Nodes {
		on := "integers"
		if !n.Integers {
			on = "floats"
		}
		fused := n.Fused
		if fused == "" {
			fused = "not fused"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", n.Name, n.Kind, on, fused, n.Why)
	}
	t.Flush()
	if _, err := export.Lower(g); err != nil {
		fmt.Fprintf(b, "\nno integer model: %v\n", err)
	} else {
		b.WriteString("\nan integer model can be made of it\n")
	}
	return nil
}

// WriteJSON writes the document that --json prints.
func (i *Inspection) WriteJSON(w io.Writer) error { return writeJSON(w, i) }

// WriteText writes the description for people.
func (i *Inspection) WriteText(w io.Writer) error {
	head := fmt.Sprintf("%s, %s", i.Net, i.What)
	if i.Path != "" {
		head = i.Path + ": " + head
	}
	if i.Quant != "" && i.Quant != Float {
		head += ", " + i.Quant + rulesText(i.Rules)
	}
	_, err := fmt.Fprintf(w, "%s: %s parameters, %s multiply-accumulates an image, %s\n\n%s", head, group(i.Params), group(i.MACs), size(i.Bytes), i.text)
	return err
}
