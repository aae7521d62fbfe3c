package optim

import (
	"fmt"
	"math"
	"slices"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/glob"
)

// Config describes an optimizer. It is plain data; the zero value lacks a
// method and a learning rate, everything else has a useful default.
type Config struct {
	Method Method
	// LearningRate is what the schedule scales; it must be positive.
	LearningRate float64
	// Schedule is nil for a constant rate.
	Schedule Schedule
	// WeightDecay applies to parameters of the role [autograd.Weight]. Biases,
	// batch norm and the ranges of quantizers decay only where a group says so.
	WeightDecay float64
	// Groups are applied in order; each replaces the settings that it sets for
	// the parameters that it matches, so that the last match wins.
	Groups []Group
	// ClipNorm scales all gradients by ClipNorm/norm where the Euclidean norm of
	// all of them together is above it; 0 is off.
	ClipNorm float64
	// ClipValue limits each element of each gradient to ±ClipValue; 0 is off.
	// At most one kind of clipping may be on.
	ClipValue float64
}

// Group gives some parameters settings of their own. A parameter belongs to the
// group if its name matches and its role is listed; unset fields change nothing.
//
// Caffe's lr_mult of 2 for biases is Group{Roles: []autograd.Role{autograd.Bias},
// RateFactor: 2}.
type Group struct {
	// Match is a pattern of names in which * stands for any run of characters,
	// dots included; empty means all. One that matches no parameter is an error.
	Match string
	// Roles lists roles; empty means all. That no parameter has one is no error,
	// so one configuration serves graphs with and without quantizers.
	Roles []autograd.Role
	// Method replaces the method.
	Method Method
	// LearningRate replaces the base rate, RateFactor multiplies it; zero leaves
	// them.
	LearningRate float64
	RateFactor   float64
	// Schedule replaces the schedule.
	Schedule Schedule
	// WeightDecay replaces the decay, whatever the role: new(0.0) turns it off.
	WeightDecay *float64
}

func (g Group) matches(p *autograd.Param) bool {
	return (g.Match == "" || glob.Match(g.Match, p.Name)) && (len(g.Roles) == 0 || slices.Contains(g.Roles, p.Role))
}

// Validate reports a setting that cannot work on any parameters.
func (c Config) Validate() error {
	if c.Method == nil {
		return configError("there is no method")
	}
	if err := c.Method.Validate(); err != nil {
		return within(c.Method.Name(), err)
	}
	if err := positive("learning rate", c.LearningRate); err != nil {
		return err
	}
	if c.Schedule != nil {
		if err := c.Schedule.Validate(); err != nil {
			return within("schedule", err)
		}
	}
	for _, limit := range []struct {
		name  string
		value float64
	}{{"weight decay", c.WeightDecay}, {"clip norm", c.ClipNorm}, {"clip value", c.ClipValue}} {
		if err := notNegative(limit.name, limit.value); err != nil {
			return err
		}
	}
	if c.ClipNorm > 0 && c.ClipValue > 0 {
		return configError("clip norm %v and clip value %v: only one may be set", c.ClipNorm, c.ClipValue)
	}
	for i, g := range c.Groups {
		if err := g.validate(); err != nil {
			return within(fmt.Sprintf("group %d", i), err)
		}
	}
	return nil
}

func (g Group) validate() error {
	if g.Method != nil {
		if err := g.Method.Validate(); err != nil {
			return within(g.Method.Name(), err)
		}
	}
	if g.Schedule != nil {
		if err := g.Schedule.Validate(); err != nil {
			return within("schedule", err)
		}
	}
	if err := notNegative("learning rate", g.LearningRate); err != nil {
		return err
	}
	if err := notNegative("rate factor", g.RateFactor); err != nil {
		return err
	}
	if g.WeightDecay != nil {
		return notNegative("weight decay", *g.WeightDecay)
	}
	return nil
}

func notNegative(what string, v float64) error {
	if !(v >= 0) || math.IsInf(v, 0) {
		return configError("%s %v: must be finite and not negative", what, v)
	}
	return nil
}

// setting is what the groups leave for one parameter.
type setting struct {
	method   Method
	rate     float64 // base rate times factor
	schedule Schedule
	decay    float64
}

func (c Config) settingOf(p *autograd.Param) setting {
	s := setting{method: c.Method, schedule: c.Schedule}
	if p.Role == autograd.Weight {
		s.decay = c.WeightDecay
	}
	base, factor := c.LearningRate, 1.0
	for _, g := range c.Groups {
		if !g.matches(p) {
			continue
		}
		if g.Method != nil {
			s.method = g.Method
		}
		if g.LearningRate != 0 {
			base = g.LearningRate
		}
		if g.RateFactor != 0 {
			factor = g.RateFactor
		}
		if g.Schedule != nil {
			s.schedule = g.Schedule
		}
		if g.WeightDecay != nil {
			s.decay = *g.WeightDecay
		}
	}
	s.rate = base * factor
	if s.schedule == nil {
		s.schedule = Constant{}
	}
	return s
}

func names(params []*autograd.Param) []string {
	ns := make([]string, len(params))
	for i, p := range params {
		ns[i] = p.Name
	}
	return ns
}

// Freeze excludes the parameters whose names match one of the patterns from
// training: programs compiled from now on compute no gradient for them, and
// optimizers pass them over. A pattern that matches none is an error, and then
// nothing is frozen.
func Freeze(params []*autograd.Param, patterns ...string) error {
	return setFrozen(params, true, patterns)
}

// Unfreeze undoes [Freeze]; programs have to be compiled again.
func Unfreeze(params []*autograd.Param, patterns ...string) error {
	return setFrozen(params, false, patterns)
}

func setFrozen(params []*autograd.Param, frozen bool, patterns []string) error {
	all := names(params)
	for _, pattern := range patterns {
		if !glob.Any(pattern, all) {
			return configError("pattern %q matches no parameter%s", pattern, glob.Hint(pattern, all))
		}
	}
	for _, p := range params {
		for _, pattern := range patterns {
			if glob.Match(pattern, p.Name) {
				p.Frozen = frozen
			}
		}
	}
	return nil
}
