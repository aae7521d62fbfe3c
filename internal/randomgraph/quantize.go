package randomgraph

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/fakequant"
)

// drawSpec draws the scheme, the widths, and what decides the ranges.
func (d *drawer) drawSpec() {
	d.wide, d.narrow = d.one("wide", 5), d.one("narrow", 3)
	s := fakequant.Spec{Scheme: choose(d, "scheme", fakequant.FixedPoint, fakequant.Integer),
		WeightBits: d.weightWidth("weights"), OutBits: d.width("outputs")}
	perChannel := d.one("per channel", 2)
	s.PerChannel = &perChannel
	if d.narrow {
		s.Narrow = &d.narrow
	}
	if d.one("clipped", 2) {
		s.Estimator = fakequant.STE{}
		if affine := !d.one("symmetric", 3); s.Scheme == fakequant.Integer {
			s.Affine = &affine
		}
	}
	s.Observer = choose[fakequant.Observer](d, "observer", nil, fakequant.MinMax{}, fakequant.MovingAverage{}, fakequant.MSE{})
	d.spec = s
}

// width draws the width of outputs.
func (d *drawer) width(what string) int {
	if d.wide {
		return choose(d, what, 16, 16, 16, 9, 10, 11, 12, 13, 14, 15)
	}
	return choose(d, what, 8, 8, 8, 2, 3, 4, 5, 6, 7, 1)
}

// weightWidth draws the width of weights. A narrow grid has at least 2 bits.
func (d *drawer) weightWidth(what string) int {
	b := choose(d, what, 8, 8, 8, 2, 3, 4, 5, 6, 7, 1, 4, 16)
	switch {
	case d.wide && d.one("wide too", 2):
		return d.between("wide weights", 12, 16)
	case b == 16:
		return d.between("wide weights", 9, 16)
	case b == 1 && d.narrow:
		return 2
	}
	return b
}

func output(match string, bits int) fakequant.Rule {
	return fakequant.Rule{Match: match, Spec: fakequant.A(bits)}
}

func keepFloat(match string) fakequant.Rule {
	return fakequant.Rule{Match: match, Spec: fakequant.Spec{Scheme: fakequant.Float}}
}

// drawRules draws rules for the layers that the network has.
func (d *drawer) drawRules() {
	add := func(match string, s fakequant.Spec) { d.rules = append(d.rules, fakequant.Rule{Match: match, Spec: s}) }
	if d.one("input rule", 4) {
		add("input", fakequant.A(d.width("input")))
	}
	if d.names["fc"] > 0 && d.one("kind rule", 6) {
		add("kind:linear", fakequant.W(d.weightWidth("linear")))
	}
	if d.wide {
		add(d.layers[len(d.layers)-1], fakequant.W(16))
	}
	for _, name := range d.sums {
		if s, ok := d.edge(); ok && d.one("edge rule", 3) {
			add(name, s)
		}
	}
	for _, name := range d.layers {
		if s, ok := d.layerSpec(); ok && d.one("layer rule", 2) {
			add(name, s)
		}
	}
}

// layerSpec draws a spec for one layer, or none where the scheme has no such thing.
func (d *drawer) layerSpec() (s fakequant.Spec, ok bool) {
	dfp := d.spec.Scheme == fakequant.FixedPoint
	if d.wide && d.one("edge", 2) {
		return d.edge()
	}
	switch d.pick("rule", 7) {
	case 0:
		return fakequant.W(d.weightWidth("weights")), true
	case 1:
		return fakequant.A(d.width("outputs")), true
	case 2:
		other := !*d.spec.PerChannel
		return fakequant.Spec{PerChannel: &other}, true
	case 3: // most weights beyond the last code
		b := choose(d, "weights", 8, 4, 3)
		fl := b + d.between("fl", 0, 3)
		return fakequant.Spec{WeightBits: b, WeightFL: &fl}, dfp
	case 4: // outputs beyond the last code, or within few
		b := d.width("outputs")
		fl := b + d.between("fl", -4, 2)
		return fakequant.Spec{OutBits: b, OutFL: &fl}, dfp
	}
	return d.edge()
}

// edge draws a spec that requantizes an edge into a layer, or none where that has
// no integer form: codes of more than 8 bits move between float scales by no rule.
func (d *drawer) edge() (s fakequant.Spec, ok bool) {
	s = fakequant.Spec{InBits: d.width("edge")}
	if d.spec.Scheme == fakequant.Integer {
		return s, !d.wide
	}
	if d.one("edge fl", 3) {
		fl := s.InBits + d.between("fl", -4, 0)
		s.InFL = &fl
	}
	return s, true
}

// train calibrates the quantized graph on its images and moves the parameters
// by the sign of their gradient, so that ranges are not those of calibration
// alone.
func train(s *Sample, steps, frozen int) error {
	if err := run(s, autograd.CompileOptions{Mode: autograd.Calibrate, Outputs: []string{"logits"}}, 1, 0); err != nil {
		return err
	}
	if err := fakequant.FinishCalibration(s.Graph); err != nil {
		return err
	}
	if err := run(s, autograd.CompileOptions{Mode: autograd.Train}, steps, 0); err != nil {
		return err
	}
	return run(s, autograd.CompileOptions{Mode: autograd.Frozen}, frozen, steps)
}

// run runs the usual images through a program a number of times.
func run(s *Sample, o autograd.CompileOptions, steps, from int) error {
	data := s.Data.(*images)
	o.Batch, o.Seed = data.usual, 1
	p, err := s.Graph.Compile(o)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Mode, err)
	}
	size := data.info.Size() * data.usual
	if data.info.Float {
		err = p.LoadFloats("input", data.floats[:size])
	} else {
		err = p.LoadPixels("input", data.pixels[:size])
	}
	if err == nil && o.Mode != autograd.Calibrate {
		err = p.LoadLabels("labels", data.labels[:data.usual])
	}
	if err != nil {
		return err
	}
	for i := range steps {
		p.SetStep(uint64(from+i), 0)
		p.Forward()
		p.Backward()
		p.Commit()
		if !o.Mode.Training() {
			continue
		}
		for _, q := range p.Params() {
			rate := float32(0.01)
			if q.Role == autograd.RangeParam {
				rate = 0.6 // a fractional length moves by one
			}
			for k, g := range q.Grad {
				switch {
				case g > 0:
					q.Value[k] -= rate
				case g < 0:
					q.Value[k] += rate
				}
			}
			q.Touch()
		}
	}
	return nil
}
