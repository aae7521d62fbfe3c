package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/internal/measure"
	"github.com/bitgrad/bitgrad/layers"
)

// nets are the networks of the benchmark by the names that all frameworks use, and what
// package layers calls the same: a plain name there may mean another variant, that
// of a paper or of MLPerf.
var nets = []struct{ name, layers string }{
	{"lenet", "lenet"},
	{"cifarfull", "cifar10full-plain"},
	{"resnet8", "resnet8conv"},
	{"resnet20", "resnet20conv"},
	{"mobilenet", "mobilenet"},
}

// errCall marks a call that cannot work.
var errCall = errors.New("invalid call")

// layersName returns what package layers calls a network of the benchmark.
func layersName(name string) (string, error) {
	var names []string
	for _, n := range nets {
		if n.name == name {
			return n.layers, nil
		}
		names = append(names, n.name)
	}
	return "", fmt.Errorf("%w: net %q: there are %s%s", errCall, name, strings.Join(names, ", "), glob.Hint(name, names))
}

// isCall reports whether err says that the call was wrong, and not that the work failed.
func isCall(err error) bool {
	for _, sentinel := range []error{errCall, measure.ErrConfig, fakequant.ErrSpec, fakequant.ErrRule, layers.ErrNet, datasets.ErrOption} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}
