package train

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/optim"
)

// Files in the directory of a run.
const (
	// CheckpointFile is the last checkpoint. Its parameters and statistics have
	// their own names, so that [LoadWeights] reads it too.
	CheckpointFile = "checkpoint.safetensors"
	// BestFile holds the parameters and statistics of the best epoch.
	BestFile = "best.safetensors"
	// MetricsFile has a line for each epoch.
	MetricsFile = "metrics.csv"
	// FLFile has a line for each change of a fractional length.
	FLFile = "fl_changes.csv"
)

const checkpointFormat = "bitgrad.checkpoint/1"

// Names of the tensors of a checkpoint, besides those of the network. A slash
// keeps them apart from it.
const (
	vectorPrefix  = "optimizer/" // + name of a vector
	counterPrefix = "counter/"   // + name of a counter
	bestPrefix    = "best/"      // + name of a parameter or state
	runPrefix     = "run/"

	positionName = runPrefix + "position" // int64: epochs, steps of the next, correct, images, best epoch
	sumsName     = runPrefix + "sums"     // float64: loss, best accuracy
	lengthsName  = runPrefix + "lengths"  // int32: last fractional lengths
	metricsName  = runPrefix + "metrics"  // uint8: CSV
	changesName  = runPrefix + "changes"  // uint8: CSV
)

// Metadata keys that are no settings.
const (
	formatKey  = "format"
	kernelsKey = "kernels"
	netKey     = "net"
	graphKey   = "graph"
)

// Checkpoint is a run as it was after one of its steps.
type Checkpoint struct {
	// Path is the file that it was read from.
	Path string
	// Net is the name of the network.
	Net string
	// Steps is the number of steps done; Epochs are the complete ones.
	Steps  int64
	Epochs []Epoch
	// BestEpoch and BestAccuracy are as in [Result].
	BestEpoch    int
	BestAccuracy float64
	// Kernels is the instruction set that the run used.
	Kernels string

	file     *files.File
	meta     map[string]string
	position []int64
	sums     []float64
	changes  []FLChange
}

// ReadCheckpoint reads a checkpoint; a directory stands for the [CheckpointFile]
// in it. Whether it fits a run is found by [Fit].
func ReadCheckpoint(path string) (*Checkpoint, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, CheckpointFile)
	}
	file, err := files.LoadSafetensors(path)
	if err != nil {
		return nil, fmt.Errorf("train: checkpoint: %w", err)
	}
	c := &Checkpoint{Path: path, file: file, meta: file.Metadata()}
	refuse := func(format string, args ...any) (*Checkpoint, error) {
		return nil, &CheckpointError{Path: path, Reasons: []string{fmt.Sprintf(format, args...)}}
	}
	if got := c.meta[formatKey]; got != checkpointFormat {
		return refuse("its format is %q, not %q", got, checkpointFormat)
	}
	if !file.Sealed() {
		return refuse("it has no checksum")
	}
	c.Net, c.Kernels = c.meta[netKey], c.meta[kernelsKey]
	if c.position, err = file.Int64s(positionName); err == nil {
		c.sums, err = file.Float64s(sumsName)
	}
	var metrics, changes []byte
	if err == nil {
		metrics, err = file.Uint8s(metricsName)
	}
	if err == nil {
		changes, err = file.Uint8s(changesName)
	}
	if err != nil {
		return refuse("%v", err)
	}
	if len(c.position) != 5 || len(c.sums) != 2 {
		return refuse("%s and %s have %d and %d entries, not 5 and 2", positionName, sumsName, len(c.position), len(c.sums))
	}
	if c.Epochs, err = parseMetrics(metrics); err != nil {
		return refuse("%s: %v", metricsName, err)
	}
	if c.changes, err = parseFL(changes); err != nil {
		return refuse("%s: %v", changesName, err)
	}
	if c.position[0] != int64(len(c.Epochs)) {
		return refuse("%d complete epochs and metrics of %d", c.position[0], len(c.Epochs))
	}
	c.BestEpoch, c.BestAccuracy = int(c.position[4]), c.sums[1]
	if steps, err := file.Int64s(counterPrefix + "steps"); err == nil && len(steps) == 1 {
		c.Steps = steps[0]
	}
	return c, nil
}

// settingsOf lists what determines the result of a run.
func settingsOf(g *autograd.Graph, data datasets.Dataset, opt Options) ([]setting, error) {
	s := opt.settings()
	images, err := fingerprint(data)
	if err != nil {
		return nil, err
	}
	validation := "none"
	if opt.Validation != nil {
		if validation, err = fingerprint(opt.Validation); err != nil {
			return nil, err
		}
	}
	return append(s, setting{"data", images}, setting{"validation", validation}, setting{graphKey, describeGraph(g)}), nil
}

// describeGraph has a line for each node.
func describeGraph(g *autograd.Graph) string {
	var b strings.Builder
	for _, n := range g.Nodes() {
		fmt.Fprintf(&b, "%s = %s(", n.Name(), n.Kind())
		for i, in := range n.Inputs() {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(in.Name())
		}
		fmt.Fprintf(&b, ") %s", n.Type())
		if note := n.Spec().Note; note != "" {
			b.WriteString(" " + note)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// fingerprint identifies a data set by its description and a sample of what it
// holds.
func fingerprint(ds datasets.Dataset) (string, error) {
	const samples = 64
	info := ds.Info()
	var indices []int
	for i := range min(samples, info.N) {
		indices = append(indices, int(int64(i)*int64(info.N)/int64(min(samples, info.N))))
	}
	var b datasets.Batch
	if err := ds.Read(&b, indices); err != nil {
		return "", fmt.Errorf("train: %s: %w", info.Name, err)
	}
	h := sha256.New()
	for _, part := range []any{b.Pixels, b.Floats, b.Labels} {
		if err := binary.Write(h, binary.LittleEndian, part); err != nil {
			return "", fmt.Errorf("train: %s: %w", info.Name, err)
		}
	}
	return fmt.Sprintf("%s: %d samples [%d %d %d], %d classes, mean %v, std %v, sha256 %x", info.Name, info.N,
		info.C, info.H, info.W, info.Classes, info.Mean, info.Std, h.Sum(nil)[:8]), nil
}

// openDir makes the directory of the run, or checks the one there is, and keeps
// other runs out of it.
func (t *trainer) openDir() error {
	if t.opt.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(t.opt.Dir, 0o777); err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	var err error
	if t.lock, err = files.LockRun(t.opt.Dir); err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	if _, err := files.RemoveLeftovers(t.opt.Dir); err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	if t.opt.Resume != nil {
		return nil
	}
	if _, err := os.Lstat(t.path(CheckpointFile)); err == nil {
		return &CheckpointError{Path: t.path(CheckpointFile), Reasons: []string{"the directory holds a run already: resume it or choose another"}}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("train: fit: %w", err)
	}
	return nil
}

func (t *trainer) path(file string) string { return filepath.Join(t.opt.Dir, file) }

// save writes the checkpoint.
func (t *trainer) save() error {
	meta := map[string]string{formatKey: checkpointFormat, netKey: t.graph.Name(), kernelsKey: cpu.Level().String()}
	for _, s := range t.settings {
		meta[s.key] = s.value
	}
	tensors := t.tensors("", nil)
	if t.best.values != nil {
		tensors = append(tensors, t.tensors(bestPrefix, t.best.values)...)
	}
	state := t.optimizer.State()
	for _, v := range state.Vectors {
		tensors = append(tensors, files.FromFloat32s(vectorPrefix+v.Name, v.Shape, v.Data))
	}
	for _, c := range state.Counters {
		tensors = append(tensors, files.FromInt64s(counterPrefix+c.Name, []int{1}, []int64{c.Value}))
	}
	metrics, changes := formatMetrics(t.epochs), formatFL(t.lengths.changes)
	tensors = append(tensors,
		files.FromInt64s(positionName, []int{5}, []int64{int64(t.epoch), int64(t.inEpoch), t.sums.correct, t.sums.images, int64(t.best.epoch)}),
		files.FromFloat64s(sumsName, []int{2}, []float64{t.sums.loss, t.best.accuracy}),
		files.FromInt32s(lengthsName, []int{len(t.lengths.last)}, t.lengths.last),
		files.FromUint8s(metricsName, []int{len(metrics)}, metrics),
		files.FromUint8s(changesName, []int{len(changes)}, changes))
	return t.write(CheckpointFile, tensors, meta)
}

// tensors returns the variables of the graph, or the values given for them.
func (t *trainer) tensors(prefix string, values [][]float32) []files.Tensor {
	var ts []files.Tensor
	t.vars.each(func(name string, shape []int, data []float32) {
		if values != nil {
			data = values[len(ts)]
		}
		ts = append(ts, files.FromFloat32s(prefix+name, shape, data))
	})
	return ts
}

func (t *trainer) write(name string, tensors []files.Tensor, meta map[string]string) error {
	meta, err := files.Seal(meta, tensors)
	if err == nil {
		err = files.WriteAtomicVia(t.path(name), t.opt.limit, func(w io.Writer) error {
			return files.WriteSafetensors(w, tensors, meta)
		})
	}
	if err != nil {
		return fmt.Errorf("train: fit: %w", err)
	}
	return nil
}

// saveEpoch writes the checkpoint first and then what is derived from it: a run
// that ends in between writes the rest when it is resumed.
func (t *trainer) saveEpoch(improved bool) error {
	if t.opt.Dir == "" {
		return nil
	}
	if err := t.save(); err != nil {
		return err
	}
	return t.saveDerived(improved)
}

func (t *trainer) saveDerived(improved bool) error {
	if improved && t.best.values != nil {
		meta := map[string]string{formatKey: weightsFormat, netKey: t.graph.Name()}
		if err := t.write(BestFile, t.tensors("", t.best.values), meta); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{MetricsFile, formatMetrics(t.epochs)}, {FLFile, formatFL(t.lengths.changes)}} {
		err := files.WriteAtomicVia(t.path(f.name), t.opt.limit, func(w io.Writer) error {
			_, err := w.Write(f.text)
			return err
		})
		if err != nil {
			return fmt.Errorf("train: fit: %w", err)
		}
	}
	return nil
}

// resume takes everything over from a checkpoint, or nothing.
func (t *trainer) resume(c *Checkpoint) error {
	if c.file == nil {
		return optionError("a checkpoint comes from ReadCheckpoint")
	}
	reasons := t.differences(c)
	if len(reasons) == 0 {
		in := newInventory(c.file)
		values := t.readVariables(in, "")
		var kept [][]float32
		if t.opt.KeepBest && c.BestEpoch > 0 {
			kept = t.readVariables(in, bestPrefix)
		}
		state := t.readOptimizer(in)
		last := in.int32s(lengthsName, len(t.lengths.last))
		in.done(positionName, sumsName, metricsName, changesName)
		if reasons = in.reasons; len(reasons) == 0 {
			reasons = t.misplaced(c)
		}
		if len(reasons) == 0 {
			if err := t.optimizer.Restore(state); err != nil {
				reasons = []string{err.Error()}
			}
		}
		if len(reasons) == 0 {
			t.vars.restore(values)
			t.best = best{c.BestEpoch, c.BestAccuracy, kept}
			t.epoch, t.inEpoch = int(c.position[0]), int(c.position[1])
			t.sums = sums{loss: c.sums[0], correct: c.position[2], images: c.position[3]}
			t.epochs = slices.Clone(c.Epochs)
			t.lengths.changes = slices.Clone(c.changes)
			copy(t.lengths.last, last)
		}
	}
	if len(reasons) > 0 {
		return &CheckpointError{Path: c.Path, Reasons: reasons}
	}
	if t.opt.Dir == "" {
		return nil
	}
	// What is newer than the checkpoint, or was not written yet, is put right.
	return t.saveDerived(true)
}

// differences compares the metadata with this run.
func (t *trainer) differences(c *Checkpoint) []string {
	var reasons []string
	for _, s := range t.settings {
		got, want := c.meta[s.key], s.value
		if got == want {
			continue
		}
		if s.key == graphKey {
			got, want = firstDifference(got, want)
		}
		reasons = append(reasons, fmt.Sprintf("%s: %s in the checkpoint, %s in this run", s.key, got, want))
	}
	if level := cpu.Level().String(); c.Kernels != level && !t.opt.OtherKernels {
		reasons = append(reasons, fmt.Sprintf("%s: %s in the checkpoint, %s in this run", kernelsKey, c.Kernels, level))
	}
	return reasons
}

// firstDifference returns the first line that differs.
func firstDifference(a, b string) (string, string) {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	at := func(s []string, i int) string {
		if i < len(s) && s[i] != "" {
			return s[i]
		}
		return "nothing"
	}
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	return at(x, i), at(y, i)
}

// misplaced says why a position does not belong to this run.
func (t *trainer) misplaced(c *Checkpoint) []string {
	epoch, in := c.position[0], c.position[1]
	ok := epoch >= 0 && epoch <= int64(t.opt.Epochs) && in >= 0 && in <= int64(t.perEpoch) &&
		(epoch < int64(t.opt.Epochs) || in == 0) && c.Steps == epoch*int64(t.perEpoch)+in &&
		c.position[2] >= 0 && c.position[2] <= c.position[3] && c.BestEpoch >= 0 && int64(c.BestEpoch) <= epoch &&
		finite(c.sums[0]) && finite(c.sums[1])
	if ok {
		return nil
	}
	return []string{fmt.Sprintf("%s: %v and %v, %d steps: not a place in a run of %d epochs of %d steps",
		positionName, c.position, c.sums, c.Steps, t.opt.Epochs, t.perEpoch)}
}

func (t *trainer) readVariables(in *inventory, prefix string) [][]float32 {
	var values [][]float32
	params := len(t.vars.params)
	t.vars.each(func(name string, shape []int, _ []float32) {
		kind := "parameter"
		if len(values) >= params {
			kind = "state"
		}
		values = append(values, in.float32s(kind, prefix+name, shape))
	})
	return values
}

func (t *trainer) readOptimizer(in *inventory) optim.State {
	s := t.optimizer.State()
	for i, v := range s.Vectors {
		s.Vectors[i].Data = in.float32s("optimizer vector", vectorPrefix+v.Name, v.Shape)
	}
	for i, c := range s.Counters {
		s.Counters[i].Value = in.counter(counterPrefix + c.Name)
	}
	return s
}

// inventory reads a file of which every tensor must be asked for, and collects
// what is wrong with it.
type inventory struct {
	file    *files.File
	left    map[string]bool
	reasons []string
}

func newInventory(f *files.File) *inventory {
	in := &inventory{file: f, left: map[string]bool{}}
	for _, t := range f.Tensors() {
		in.left[t.Name] = true
	}
	return in
}

func (in *inventory) wrong(format string, args ...any) {
	in.reasons = append(in.reasons, fmt.Sprintf(format, args...))
}

func (in *inventory) float32s(kind, name string, shape []int) []float32 {
	delete(in.left, name)
	t, err := in.file.Tensor(name)
	if err != nil {
		in.wrong("%s %s is missing", kind, name)
		return nil
	}
	if !slices.Equal(t.Shape, shape) {
		in.wrong("%s %s is %v, must be %v", kind, name, t.Shape, shape)
		return nil
	}
	v, err := t.Float32s()
	if err != nil {
		in.wrong("%s %s: %v", kind, name, err)
		return nil
	}
	if i := firstNotFinite(v); i >= 0 {
		in.wrong("%s %s holds %s at element %d", kind, name, badWord(float64(v[i])), i)
	}
	return v
}

// firstNotFinite returns the index of the first NaN or infinity, -1 without.
func firstNotFinite(x []float32) int {
	return slices.IndexFunc(x, func(v float32) bool { return v != v || math.IsInf(float64(v), 0) })
}

func (in *inventory) counter(name string) int64 {
	delete(in.left, name)
	v, err := in.file.Int64s(name)
	if err != nil || len(v) != 1 {
		in.wrong("counter %s is missing", name)
		return 0
	}
	return v[0]
}

func (in *inventory) int32s(name string, n int) []int32 {
	delete(in.left, name)
	v, err := in.file.Int32s(name)
	if err != nil || len(v) != n {
		in.wrong("%s is missing, or not of length %d", name, n)
		return nil
	}
	return v
}

// done complains about what nobody asked for.
func (in *inventory) done(read ...string) {
	for _, name := range read {
		delete(in.left, name)
	}
	for _, name := range slices.Sorted(maps.Keys(in.left)) {
		in.wrong("%s belongs to nothing in this run", name)
	}
}
