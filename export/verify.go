package export

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// VerifyOptions say how much is compared.
type VerifyOptions struct {
	// Images is the number of images, from the first; 0 means all.
	Images int
	// Batch is the batch size of the evaluation program; 0 means 32.
	Batch int
	// Workers is the number of goroutines that compare; 0 means GOMAXPROCS.
	Workers int
	// OnProgress, if not nil, is called after every batch.
	OnProgress func(done, total int)
}

// LayerDiff is the comparison of one tensor over all images.
type LayerDiff struct {
	Name       string `json:"name"`
	Codes      int64  `json:"codes"`
	Mismatches int64  `json:"mismatches"`
}

// Diff is the result of [Verify].
type Diff struct {
	Images int `json:"images"`
	// Codes is the number of integers compared, Mismatches how many differ
	// between the evaluation program and the reference interpreter, or between
	// the interpreter and the engine.
	Codes      int64       `json:"codes"`
	Mismatches int64       `json:"mismatches"`
	Layers     []LayerDiff `json:"layers"`
	// Correct counts the images that the integer model classifies correctly;
	// ties go to the lowest class.
	Correct int `json:"-"`
	// First says where the first difference is, empty without one.
	First string `json:"-"`
}

// Accuracy returns the fraction of images classified correctly by the integer model.
func (d *Diff) Accuracy() float64 { return float64(d.Correct) / float64(max(d.Images, 1)) }

// Verify proves that the model computes what the graph does: the model goes
// through its file format, the reference interpreter runs it image by image,
// and every tensor is compared with the codes of the evaluation program and
// with those of the engine. The images are those of ds, as they are. A
// difference is counted, not an error. A tensor whose codes stand for other
// numbers, on another grid, is an error that wraps [ErrMismatch]. What only the
// integer form has, see [integer.Lowerer], is compared between the interpreter
// and the engine.
func Verify(ctx context.Context, m *integer.Model, g *autograd.Graph, ds datasets.Dataset, o VerifyOptions) (*Diff, error) {
	var file bytes.Buffer
	if err := m.Encode(&file); err != nil {
		return nil, err
	}
	read, err := integer.Decode(file.Bytes())
	if err != nil {
		return nil, err
	}
	return VerifyModel(ctx, read, g, ds, o)
}

// VerifyModel is Verify for a model that was read from its file already.
func VerifyModel(ctx context.Context, m *integer.Model, g *autograd.Graph, ds datasets.Dataset, o VerifyOptions) (*Diff, error) {
	v, err := newVerifier(m, g, ds, o)
	if err != nil {
		return nil, err
	}
	defer v.close()
	return v.verify(ctx, o.OnProgress)
}

type verifier struct {
	m       *integer.Model
	ds      datasets.Dataset
	info    datasets.Info
	p       *autograd.Program
	engine  *integer.Engine
	pool    *autograd.Pool
	images  int
	batch   int
	index   map[string]int // node of the model by name
	inner   []bool         // the node is part of another's form: no program computes it
	seen    []bool
	program [][]int64 // codes of the evaluation program, per node
	runs    [][]int64 // codes of the engine, per node
	data    datasets.Batch
	wrong   []atomic.Int64
	correct atomic.Int64
	first   string
	firstAt []string
	errs    []error
	grids   error // the first node that is on another grid
}

func newVerifier(m *integer.Model, g *autograd.Graph, ds datasets.Dataset, o VerifyOptions) (*verifier, error) {
	v := &verifier{m: m, ds: ds, info: ds.Info(), batch: o.Batch, images: o.Images, index: map[string]int{}}
	if v.images <= 0 || v.images > v.info.N {
		v.images = v.info.N
	}
	if v.batch <= 0 {
		v.batch = 32
	}
	t := m.Input().Out
	if t.C != v.info.C || t.H != v.info.H || t.W != v.info.W {
		return nil, fmt.Errorf("%w: the model takes images [%d %d %d], %s has [%d %d %d]", ErrMismatch, t.C, t.H, t.W, v.info.Name, v.info.C, v.info.H, v.info.W)
	}
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	v.pool = autograd.NewPool(workers)
	var err error
	if v.p, err = compile(g, v.batch, v.pool); err != nil {
		v.pool.Close()
		return nil, err
	}
	if v.engine, err = integer.NewEngine(m, integer.EngineOptions{Workers: workers}); err != nil {
		v.pool.Close()
		return nil, err
	}
	for i, n := range m.Nodes {
		v.index[n.Name] = i
		v.program = append(v.program, make([]int64, 0, v.batch*n.Out.Len()))
		v.runs = append(v.runs, make([]int64, v.batch*n.Out.Len()))
	}
	v.seen, v.inner = make([]bool, len(m.Nodes)), make([]bool, len(m.Nodes))
	for i, n := range m.Nodes {
		whole, _, part := strings.Cut(n.Name, "/")
		_, ok := v.index[whole]
		v.inner[i] = part && ok && v.p.Graph().Node(n.Name) == nil
	}
	v.wrong = make([]atomic.Int64, len(m.Nodes))
	v.firstAt, v.errs = make([]string, v.batch), make([]error, v.batch)
	v.p.Tap(v.tap)
	return v, nil
}

func (v *verifier) close() {
	v.pool.Close()
	v.engine.Close()
}

// verify compares all images and sums up.
func (v *verifier) verify(ctx context.Context, progress func(done, total int)) (*Diff, error) {
	for from := 0; from < v.images; from += v.batch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		to := min(from+v.batch, v.images)
		if err := v.run(from, to); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(to, v.images)
		}
	}
	d := &Diff{Images: v.images, Correct: int(v.correct.Load()), First: v.first}
	for i, n := range v.m.Nodes {
		l := LayerDiff{n.Name, int64(v.images) * int64(n.Out.Len()), v.wrong[i].Load()}
		d.Layers = append(d.Layers, l)
		d.Codes += l.Codes
		d.Mismatches += l.Mismatches
	}
	return d, nil
}

// tap keeps the codes of a node while they are there.
func (v *verifier) tap(n *autograd.Node, view autograd.View) {
	i, ok := v.index[n.Name()]
	if !ok {
		return
	}
	v.seen[i] = true
	v.program[i] = view.Codes(v.program[i])
	if have, want := view.Grid, v.m.Nodes[i].Grid; v.grids == nil && !sameNumbers(have, want) {
		v.grids = fmt.Errorf("%w: node %q is on %v in the graph, on %v in the model", ErrMismatch, n.Name(), have, want)
	}
}

// sameNumbers reports whether the codes of a tensor stand for the same numbers
// in the graph and in the model. Accumulators may have another width.
func sameNumbers(graph *quant.Grid, model quant.Grid) bool {
	if graph == nil {
		return false
	}
	have := *graph
	if have.BitWidth > 16 && model.BitWidth > 16 {
		have.BitWidth = model.BitWidth
	}
	return have.Equal(model)
}

func (v *verifier) run(from, to int) error {
	n := to - from
	indices := make([]int, n)
	for i := range indices {
		indices[i] = from + i
	}
	if err := v.ds.Read(&v.data, indices); err != nil {
		return err
	}
	if err := v.load(n); err != nil {
		return err
	}
	v.p.Forward()
	if v.grids != nil {
		return v.grids
	}
	for i, ok := range v.seen {
		if v.inner[i] {
			continue
		}
		if !ok {
			return fmt.Errorf("%w: the graph has no node %q, which the model has", ErrMismatch, v.m.Nodes[i].Name)
		}
		if have, want := len(v.program[i]), v.batch*v.m.Nodes[i].Out.Len(); have != want {
			return fmt.Errorf("%w: node %q has %d codes in the graph, %d in the model", ErrMismatch, v.m.Nodes[i].Name, have, want)
		}
	}
	keep := func(node, image int, codes []int64) { copy(v.runs[node][image*len(codes):], codes) }
	var err error
	if v.info.Float {
		err = v.engine.TraceFloat(v.data.Floats[:n*v.info.Size()], keep)
	} else {
		err = v.engine.Trace(v.data.Pixels[:n*v.info.Size()], keep)
	}
	if err != nil {
		return err
	}
	v.pool.Run(n, v.compare)
	for i := range n {
		if v.errs[i] != nil {
			return v.errs[i]
		}
		if v.first == "" && v.firstAt[i] != "" {
			v.first = fmt.Sprintf("image %d: %s", from+i, v.firstAt[i])
		}
	}
	return nil
}

func (v *verifier) load(n int) error {
	size := v.info.Size()
	if v.info.Float {
		return v.p.LoadFloats("input", v.data.Floats[:n*size])
	}
	return v.p.LoadPixels("input", v.data.Pixels[:n*size])
}

// compare runs the interpreter on image i of the batch.
func (v *verifier) compare(_, i int) {
	v.firstAt[i] = ""
	each := func(node int, codes []int64) {
		k := len(codes)
		program, engine := codes, v.runs[node][i*k:(i+1)*k]
		if !v.inner[node] {
			program = v.program[node][i*k : (i+1)*k]
		}
		bad := int64(0)
		for j, q := range codes {
			if program[j] == q && engine[j] == q {
				continue
			}
			bad++
			if v.firstAt[i] == "" {
				v.firstAt[i] = fmt.Sprintf("%s, code %d: program %d, interpreter %d, engine %d", v.m.Nodes[node].Name, j, program[j], q, engine[j])
			}
		}
		if bad > 0 {
			v.wrong[node].Add(bad)
		}
	}
	size := v.info.Size()
	var logits []int64
	var err error
	if v.info.Float {
		logits, err = integer.InterpretFloat(v.m, v.data.Floats[i*size:(i+1)*size], each)
	} else {
		logits, err = integer.Interpret(v.m, v.data.Pixels[i*size:(i+1)*size], each)
	}
	if v.errs[i] = err; err != nil {
		return
	}
	best := 0
	for c, l := range logits {
		if l > logits[best] {
			best = c
		}
	}
	if int32(best) == v.data.Labels[i] {
		v.correct.Add(1)
	}
}
