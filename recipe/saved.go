package recipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// A Saved is what a file of a run holds: a network with its weights, or an
// integer model.
type Saved struct {
	// Path is the file.
	Path string
	// What is "float", "quantized" or "integer".
	What string
	// Plan describes the network; nil for an integer model.
	Plan *Blueprint
	// Graph is the network, nil for an integer model.
	Graph *autograd.Graph
	// Model is the integer model, nil for a network.
	Model *integer.Model

	data string // the data set that it was made with, where that is known
}

// Open reads a file of weights or an integer model. Of a run directory it reads
// the last thing that the run made: the integer model, the fine-tuned, the
// calibrated, the float network.
func Open(path string) (*Saved, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	if info.IsDir() {
		dir := path
		for _, name := range []string{modelFile, tunedFile, rangesFile, floatFile} {
			if exists(dir, name) {
				return Open(filepath.Join(dir, name))
			}
		}
		return nil, fmt.Errorf("%w: %s holds no model and no weights", ErrRun, dir)
	}
	f, plan, err := readWeights(path)
	if errors.Is(err, errNoBlueprint) {
		m, modelErr := integer.Load(path)
		if modelErr != nil {
			return nil, modelErr
		}
		return &Saved{Path: path, What: "integer", Model: m, data: dataOf(path)}, nil
	}
	if err != nil {
		return nil, err
	}
	return openGraph(path, f, plan)
}

// openGraph builds the network of a file of weights.
func openGraph(path string, f *files.File, plan Blueprint) (*Saved, error) {
	net, err := plan.build()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrWeights, path, err)
	}
	s := &Saved{Path: path, What: "float", Plan: &plan, Graph: net.Graph, data: plan.Data}
	if plan.Quant != Float {
		s.What = "quantized"
		if s.Graph, _, err = plan.prepare(net.Graph); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrWeights, path, err)
		}
	}
	return s, restore(s.Graph, f, path)
}

// dataOf returns the data set of the run that a file lies in, "" where it lies in
// none.
func dataOf(path string) string {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), configFile))
	if err != nil {
		return ""
	}
	c, err := ParseConfig(text, "")
	if err != nil {
		return ""
	}
	return c.Data
}

// UseOptions are what looking at something saved needs to know.
type UseOptions struct {
	// Data names the data set; "" means the one that it was made with.
	Data string
	// DataDir is the folder of the data sets' files.
	DataDir string
	// Threads is the number of threads; 0 means one for each core.
	Threads int
	// Images is the number of test images; 0 means all.
	Images int
	// Log receives what is done while it is done; nil is silent.
	Log io.Writer
}

func (o UseOptions) log() io.Writer {
	if o.Log == nil {
		return io.Discard
	}
	return o.Log
}

// test opens the test images.
func (s *Saved) test(o UseOptions) (datasets.Dataset, string, error) {
	if o.Threads < 0 || o.Images < 0 {
		return nil, "", configError("%d threads and %d images: must not be negative", o.Threads, o.Images)
	}
	data := o.Data
	if data == "" {
		data = s.data
	}
	if data == "" {
		return nil, "", configError("%s does not say what it was trained on: name the data set with --data", s.Path)
	}
	splits, err := datasets.Open(data, o.DataDir)
	if err != nil {
		return nil, "", err
	}
	for _, note := range splits.Notes {
		fmt.Fprintln(o.log(), "note:", note)
	}
	ds := splits.Test
	if o.Images > 0 {
		ds, err = datasets.Subset(ds, 0, min(o.Images, ds.Info().N))
	}
	return ds, data, err
}

// Evaluate classifies test images.
func (s *Saved) Evaluate(ctx context.Context, o UseOptions) (*Evaluation, error) {
	ds, data, err := s.test(o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(o.log(), "evaluating %s (%s) on %s images of %s\n", s.Path, s.What, group(int64(ds.Info().N)), data)
	pool := parallel.New(o.Threads)
	defer pool.Close()
	var e *Evaluation
	name := ""
	if s.Model != nil {
		name = s.Model.Name
		e, err = evaluateModel(ctx, s.Model, ds, pool.Workers())
	} else if err = s.Plan.fits(ds.Info()); err == nil {
		name = s.Plan.Net
		e, err = evaluateGraph(ctx, s.Graph, ds, pool.Workers())
	}
	if err != nil {
		return nil, err
	}
	e.What, e.Net, e.Data = s.What, name, data
	return e, nil
}

// Export writes an integer model in another format to dir, which is made if it
// is missing, with so many test images to try it on. It returns the files.
func (s *Saved) Export(format, dir string, vectors int, o UseOptions) ([]string, error) {
	if s.Model == nil {
		return nil, configError("%s is %s: only an integer model is exported", s.Path, s.What)
	}
	var ds datasets.Dataset
	if vectors > 0 {
		var err error
		if ds, _, err = s.test(o); err != nil {
			return nil, err
		}
	}
	return writeFormat(format, dir, s.Model, ds, vectors)
}

// Verify compares the integer model of a run, or the one in the file model where
// that is not empty, with the run's quantized network. Differences are counted and
// are an error that wraps [ErrDiffers]; the comparison is returned with it.
func Verify(ctx context.Context, dir, model string, o UseOptions) (*export.Diff, error) {
	if model == "" {
		model = filepath.Join(dir, modelFile)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, configError("%s is a file: name the directory of a run, and the file as the model to compare", dir)
	}
	path := filepath.Join(dir, tunedFile)
	f, plan, err := readWeights(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, configError("%s holds no %s: it is not a run that was fine-tuned", dir, tunedFile)
	}
	if err != nil {
		return nil, err
	}
	s, err := openGraph(path, f, plan)
	if err != nil {
		return nil, err
	}
	m, err := integer.Load(model)
	if err != nil {
		return nil, err
	}
	ds, data, err := s.test(o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(o.log(), "comparing %s with %s on %s images of %s\n", model, path, group(int64(ds.Info().N)), data)
	pool := parallel.New(o.Threads)
	defer pool.Close()
	d, err := compare(ctx, m, s.Graph, ds, 0, pool, o.log())
	if err == nil && d.Mismatches > 0 {
		err = fmt.Errorf("%w: %d of %d codes, the first at %s", ErrDiffers, d.Mismatches, d.Codes, d.First)
	}
	return d, err
}

// WriteDiffTable writes a comparison as a table.
func WriteDiffTable(w io.Writer, d *export.Diff) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "layer\tcodes\tdiffer")
	for _, l := range d.Layers {
		fmt.Fprintf(t, "%s\t%s\t%s\n", l.Name, group(l.Codes), group(l.Mismatches))
	}
	fmt.Fprintf(t, "all, %s images\t%s\t%s\n", group(int64(d.Images)), group(d.Codes), group(d.Mismatches))
	return t.Flush()
}

// WriteDiffJSON writes a comparison as the document that --json prints.
func WriteDiffJSON(w io.Writer, d *export.Diff) error { return writeJSON(w, d) }

// WriteFilesJSON writes the document that export prints with --json.
func WriteFilesJSON(w io.Writer, files []string) error {
	return writeJSON(w, struct {
		Files []string `json:"files"`
	}{files})
}
