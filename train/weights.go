package train

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/internal/glob"
)

const weightsFormat = "bitgrad.weights/1"

// SaveWeights writes the parameters and the state of a graph under their names
// to a safetensors file, which replaces one that is there. Metadata may be nil.
func SaveWeights(path string, g *autograd.Graph, metadata map[string]string) error {
	if err := usable(g); err != nil {
		return err
	}
	meta := map[string]string{formatKey: weightsFormat, netKey: g.Name()}
	for k, v := range metadata {
		meta[k] = v
	}
	if err := files.SaveSafetensors(path, tensorsOf(g), meta); err != nil {
		return fmt.Errorf("train: weights: %w", err)
	}
	return nil
}

func tensorsOf(g *autograd.Graph) []files.Tensor {
	var tensors []files.Tensor
	variablesOf(g).each(func(name string, shape []int, data []float32) {
		tensors = append(tensors, files.FromFloat32s(name, shape, data))
	})
	return tensors
}

// CopyWeights sets parameters and state of dst to those of src, a graph with the same
// names and shapes. fakequant.Prepare shares them with the graph that it is
// given: to quantize one trained network in several ways, copy its weights into
// a network of its own for each.
//
// The error is that of [LoadWeights], with the name of src for the path.
func CopyWeights(dst, src *autograd.Graph) error {
	for _, g := range []*autograd.Graph{dst, src} {
		if err := usable(g); err != nil {
			return err
		}
	}
	m := matcher{vars: variablesOf(dst), path: src.Name()}
	_, err := m.load(tensorsOf(src))
	return err
}

func usable(g *autograd.Graph) error {
	if g == nil {
		return fmt.Errorf("%w: the graph is nil", ErrData)
	}
	return g.Err()
}

// LoadOptions say how [LoadWeights] matches a file with a graph.
type LoadOptions struct {
	// Partial loads what fits and leaves the rest as it is. Otherwise file and
	// graph must have the same names and shapes.
	Partial bool
	// Rename gives the name in the graph for a name in the file, for example
	// without the prefix "module."; an empty one leaves the tensor out. Nil
	// changes nothing.
	Rename func(name string) string
}

// LoadReport says what [LoadWeights] did with each name.
type LoadReport struct {
	// Loaded are the names in the graph that have new values, in its order;
	// Missing those for which the file has nothing.
	Loaded, Missing []string
	// Unexpected are the names in the file that the graph does not know, Ignored
	// those that are known to mean nothing here: PyTorch's count of batches and
	// what a checkpoint holds besides the network.
	Unexpected, Ignored []string
	// Mismatched says for each name with another shape or type what is wrong.
	Mismatched []string
}

// String summarizes the report in one line, with the names that did not fit.
func (r *LoadReport) String() string {
	s := fmt.Sprintf("%d loaded", len(r.Loaded))
	for _, part := range []struct {
		what  string
		names []string
	}{{"missing", r.Missing}, {"unexpected", r.Unexpected}, {"mismatched", r.Mismatched}} {
		if n := len(part.names); n > 0 {
			const shown = 5
			s += fmt.Sprintf("; %d %s: %s", n, part.what, strings.Join(part.names[:min(n, shown)], ", "))
			if n > shown {
				s += ", …"
			}
		}
	}
	return s
}

// LoadWeights sets parameters and state of a graph by name from a safetensors
// file: one of [SaveWeights], a checkpoint, or the state dict of a PyTorch model
// (conv1.weight, conv1.bn.running_mean, …; num_batches_tracked is ignored).
// Elements of type F16, BF16 and F64 are converted.
//
// The error is a [WeightsError] where names or shapes do not fit, with the
// report, or where a value is NaN or infinite; the graph is then unchanged.
func LoadWeights(g *autograd.Graph, path string, opt LoadOptions) (*LoadReport, error) {
	if err := usable(g); err != nil {
		return nil, err
	}
	file, err := files.LoadSafetensors(path)
	if err != nil {
		return nil, fmt.Errorf("train: weights: %w", err)
	}
	m := matcher{vars: variablesOf(g), path: path, opt: opt, ours: file.Metadata()[formatKey] == checkpointFormat}
	return m.load(file.Tensors())
}

type matcher struct {
	vars   variables
	path   string
	opt    LoadOptions
	ours   bool // the file is a checkpoint
	report *LoadReport
	copies []weightCopy
}

type weightCopy struct{ dst, src []float32 }

func (m *matcher) refuse(format string, args ...any) error {
	return &WeightsError{Path: m.path, Reason: fmt.Sprintf(format, args...), Report: m.report}
}

// load sets the variables, all that fit or none.
func (m *matcher) load(tensors []files.Tensor) (*LoadReport, error) {
	if err := m.match(tensors); err != nil {
		return nil, err
	}
	if err := m.verdict(); err != nil {
		return m.report, err
	}
	for _, c := range m.copies {
		copy(c.dst, c.src)
	}
	m.vars.changed()
	return m.report, nil
}

// match sorts the names into the report and collects what to copy.
func (m *matcher) match(tensors []files.Tensor) error {
	m.report = &LoadReport{}
	given := map[string]files.Tensor{}
	var order []string
	for _, t := range tensors {
		if m.ignored(t.Name) {
			m.report.Ignored = append(m.report.Ignored, t.Name)
			continue
		}
		name := t.Name
		if m.opt.Rename != nil {
			if name = m.opt.Rename(name); name == "" {
				m.report.Ignored = append(m.report.Ignored, t.Name)
				continue
			}
		}
		if other, twice := given[name]; twice {
			return m.refuse("%s and %s both become %s", other.Name, t.Name, name)
		}
		given[name] = t
		order = append(order, name)
	}
	known := map[string]bool{}
	var bad error
	m.vars.each(func(name string, shape []int, data []float32) {
		known[name] = true
		t, ok := given[name]
		if !ok {
			m.report.Missing = append(m.report.Missing, name)
			return
		}
		values, why := convert(t, shape, len(data))
		if why != "" {
			m.report.Mismatched = append(m.report.Mismatched, name+" "+why)
			return
		}
		if i := firstNotFinite(values); i >= 0 && bad == nil {
			bad = m.refuse("%s holds %s at element %d", name, badWord(float64(values[i])), i)
		}
		m.report.Loaded = append(m.report.Loaded, name)
		m.copies = append(m.copies, weightCopy{data, values})
	})
	for _, name := range order {
		if !known[name] {
			m.report.Unexpected = append(m.report.Unexpected, name)
		}
	}
	slices.Sort(m.report.Unexpected)
	slices.Sort(m.report.Ignored)
	return bad
}

// convert returns the values of a tensor for a variable of the given shape, or why
// it does not fit. A scalar fits a vector of one.
func convert(t files.Tensor, shape []int, n int) (values []float32, why string) {
	if !slices.Equal(t.Shape, shape) && !(n == 1 && t.Len() == 1) {
		return nil, fmt.Sprintf("is %v in the file and %v in the graph", t.Shape, shape)
	}
	values, err := t.Float32s()
	if err != nil {
		return nil, fmt.Sprintf("holds %s in the file", t.DType)
	}
	return values, ""
}

func (m *matcher) ignored(name string) bool {
	if strings.HasSuffix(name, ".num_batches_tracked") || name == "num_batches_tracked" {
		return true
	}
	if !m.ours {
		return false
	}
	for _, prefix := range []string{vectorPrefix, counterPrefix, bestPrefix, runPrefix} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// verdict decides whether what was matched is enough.
func (m *matcher) verdict() error {
	r := m.report
	if len(r.Loaded) == 0 {
		return m.refuse("no name fits: %s", r)
	}
	if m.opt.Partial || len(r.Missing)+len(r.Unexpected)+len(r.Mismatched) == 0 {
		return nil
	}
	hint := ""
	if len(r.Missing) > 0 {
		hint = glob.Hint(r.Missing[0], r.Unexpected)
	}
	return m.refuse("%s%s", r, hint)
}
