package train

import (
	"context"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/optim"
)

// FineTune trains a prepared graph: [Fit] with defaults for networks that
// arrive trained and calibrated. Where opt leaves them open,
//
//   - the optimizer is Adam at a rate of 5e-4 for the network and 1e-2 for
//     learned ranges, as the paper on trained quantization thresholds has it;
//     both fall to 0 along a cosine;
//   - the last third of training is frozen.
//
// It returns an error that wraps [ErrOption] for a graph without quantizers.
func FineTune(ctx context.Context, g *autograd.Graph, data datasets.Dataset, opt Options) (*Result, error) {
	if data == nil {
		return nil, optionError("the data set is nil")
	}
	if g == nil || g.Err() == nil && len(fakequant.Quantizers(g)) == 0 {
		return nil, optionError("there is no quantizer to tune: prepare the graph first")
	}
	return Fit(ctx, g, data, opt.forFineTuning(data.Info().N))
}

// forFineTuning fills in what FineTune chooses for so many images.
func (o Options) forFineTuning(images int) Options {
	if o.FrozenEpochs == 0 {
		o.FrozenEpochs = float64(max(o.Epochs, 0)) / 3
	}
	if o.Optimizer.Method == nil {
		o.Optimizer = optim.Config{
			Method:       optim.Adam{},
			LearningRate: 5e-4,
			Schedule:     optim.Cosine{Steps: max(o.Steps(images), 1)},
			Groups:       []optim.Group{{Roles: []autograd.Role{autograd.RangeParam}, LearningRate: 1e-2}},
		}
	}
	return o
}
