package recipe

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/export/cgen"
	"github.com/bitgrad/bitgrad/integer"
)

// load sets the float network, or the quantized one, from a file of this run.
func (r *run) load(name string, quantized bool) error {
	f, _, err := readWeights(r.path(name))
	if err != nil {
		return err
	}
	g := r.net.Graph
	if quantized {
		g = r.graph
	}
	return restore(g, f, r.path(name))
}

// trainFloat trains the float network from its initial weights.
func (r *run) trainFloat(ctx context.Context) error {
	if exists(r.dir, initialFile) {
		if err := r.load(initialFile, false); err != nil {
			return err
		}
	} else {
		r.net.Graph.Initialize(r.cfg.Seed)
	}
	phase := r.cfg.Float
	if r.cfg.Quant == Float {
		phase.Epochs += r.cfg.Tune.Epochs
	}
	if phase.Epochs == 0 {
		r.logf("  no epochs: the weights stay as they are")
	} else if err := r.fitFloat(ctx, phase); err != nil {
		return err
	}
	if phase.Epochs > 0 || exists(r.dir, initialFile) { // weights that are drawn at random know nothing
		accuracy, err := r.accuracy(ctx, r.net.Graph, "float")
		if err != nil {
			return err
		}
		r.journal.FloatAccuracy = &accuracy
	}
	plan := r.plan
	plan.Quant, plan.Rules = Float, []string{}
	return saveWeights(r.path(floatFile), r.net.Graph, plan)
}

// calibrate finds the ranges of the quantizers.
func (r *run) calibrate(ctx context.Context) error {
	if err := r.load(floatFile, false); err != nil {
		return err
	}
	if err := r.findRanges(ctx, r.graph, r.cfg.Calibration); err != nil {
		return err
	}
	if r.journal.FloatAccuracy != nil || r.cfg.Tune.Epochs == 0 {
		accuracy, err := r.accuracy(ctx, r.graph, "quantized, before fine-tuning")
		if err != nil {
			return err
		}
		r.journal.CalibratedAccuracy = &accuracy
	}
	return saveWeights(r.path(rangesFile), r.graph, r.plan)
}

// fineTune trains the quantized network.
func (r *run) fineTune(ctx context.Context) error {
	from := rangesFile
	if r.cfg.Task == FineTune {
		from = initialFile
	}
	if err := r.load(from, true); err != nil {
		return err
	}
	if r.cfg.Tune.Epochs == 0 {
		r.logf("  no epochs: the network stays as it was calibrated")
		r.journal.QuantizedAccuracy = r.journal.CalibratedAccuracy
	} else if err := r.fitQuantized(ctx); err != nil {
		return err
	}
	if r.journal.QuantizedAccuracy == nil {
		accuracy, err := r.accuracy(ctx, r.graph, "quantized")
		if err != nil {
			return err
		}
		r.journal.QuantizedAccuracy = &accuracy
	}
	return saveWeights(r.path(tunedFile), r.graph, r.plan)
}

// lower makes the integer model.
func (r *run) lower(context.Context) error {
	if err := r.load(tunedFile, true); err != nil {
		return err
	}
	m, err := export.Lower(r.graph)
	if err != nil {
		return err
	}
	r.logBlock(m.Proof().String())
	return m.Save(r.path(modelFile))
}

// verify compares the model in its file with the quantized network.
func (r *run) verify(ctx context.Context) error {
	if err := r.load(tunedFile, true); err != nil {
		return err
	}
	m, err := integer.Load(r.path(modelFile))
	if err != nil {
		return err
	}
	d, err := compare(ctx, m, r.graph, r.data.Test, r.cfg.Verify, r.pool, r.out)
	if err != nil {
		return err
	}
	if err := writeDocument(r.dir, verifyFile, d); err != nil {
		return err
	}
	if d.Mismatches > 0 {
		return fmt.Errorf("%w: %d of %d codes, the first at %s", ErrDiffers, d.Mismatches, d.Codes, d.First)
	}
	e, err := evaluateModel(ctx, m, r.data.Test, r.pool.Workers())
	if err != nil {
		return err
	}
	r.logf("  integer accuracy %s on %s test images", percent(e.Accuracy), group(int64(e.Images)))
	r.journal.Verify, r.journal.IntegerAccuracy = d, &e.Accuracy
	return nil
}

// export writes the formats that the configuration lists.
func (r *run) export(context.Context) error {
	m, err := integer.Load(r.path(modelFile))
	if err != nil {
		return err
	}
	for _, format := range r.cfg.Export {
		paths, err := writeFormat(format, filepath.Join(r.dir, exportFolder, format), m, r.data.Test, exportVectors)
		if err != nil {
			return err
		}
		for _, path := range paths {
			r.logf("  wrote %s", path)
		}
	}
	return nil
}

// exportVectors is the number of test images that travel with the C text.
const exportVectors = 2

// writeFormat writes a model in one of the formats to a folder.
func writeFormat(format, dir string, m *integer.Model, ds datasets.Dataset, vectors int) ([]string, error) {
	if format != "c" {
		return nil, configError("export format %q: there is c", format)
	}
	var o cgen.Options
	if ds != nil && vectors > 0 {
		var b datasets.Batch
		indices := make([]int, min(vectors, ds.Info().N))
		for i := range indices {
			indices[i] = i
		}
		if err := ds.Read(&b, indices); err != nil {
			return nil, err
		}
		size := ds.Info().Size()
		for i := range indices {
			if ds.Info().Float {
				o.Samples = append(o.Samples, b.Floats[i*size:(i+1)*size])
			} else {
				o.Images = append(o.Images, b.Pixels[i*size:(i+1)*size])
			}
		}
	}
	return cgen.Write(dir, m, o)
}

// report measures how fast everything is.
func (r *run) report(context.Context) error {
	rates := &r.machine.ImagesPerS
	var err error
	if r.cfg.Task != FineTune {
		if rates.Float, err = measureGraph(r.net.Graph, r.data.Test, measureBatch, r.pool); err != nil {
			return err
		}
	}
	if r.graph != nil {
		if err := r.load(tunedFile, true); err != nil {
			return err
		}
		if rates.Quantized, err = measureGraph(r.graph, r.data.Test, measureBatch, r.pool); err != nil {
			return err
		}
	}
	if !exists(r.dir, modelFile) {
		return nil
	}
	m, err := integer.Load(r.path(modelFile))
	if err != nil {
		return err
	}
	rates.Integer, err = measureModel(m, r.data.Test, r.pool.Workers())
	return err
}

// result sums up what the stages found.
func (r *run) result() (*Result, error) {
	j, m := &r.journal, &r.machine
	out := &Result{
		Net: r.cfg.Net, Data: r.cfg.Data, Seed: r.cfg.Seed, Threads: m.Threads,
		FloatAccuracy: j.FloatAccuracy, QuantizedAccuracy: j.QuantizedAccuracy, IntegerAccuracy: j.IntegerAccuracy,
		Verify: j.Verify, Layers: []Layer{}, ImagesPerS: m.ImagesPerS, Seconds: m.seconds(), PeakRSSBytes: m.PeakRSSBytes,
		Files: map[string]string{}, dir: r.dir,
	}
	for _, p := range r.net.Graph.Params() {
		out.FloatBytes += 4 * int64(len(p.Value))
	}
	for _, s := range r.net.Graph.States() {
		out.FloatBytes += 4 * int64(len(s.Value))
	}
	for name, file := range map[string]string{
		"config": configFile, "run": machineFile, "metrics": metricsFile, "fl_changes": changesFile, "float": floatFile,
		"calibrated": rangesFile, "quantized": tunedFile, "model": modelFile, "verify": verifyFile, "result": resultFile,
	} {
		if name == "result" || exists(r.dir, file) {
			out.Files[name] = file
		}
	}
	for _, format := range r.cfg.Export {
		if j.has("export") {
			out.Files["export_"+format] = exportFolder + "/" + format
		}
	}
	if !exists(r.dir, modelFile) {
		return out, nil
	}
	model, err := integer.Load(r.path(modelFile))
	if err != nil {
		return nil, err
	}
	out.Layers = Layers(model)
	total := int64(0)
	for _, l := range out.Layers {
		total += l.Bytes
	}
	out.IntegerBytes = &total
	return out, nil
}
