package recipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/internal/host"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/layers"
)

// Options are what a run needs to know of the machine; none of it changes the
// result.
type Options struct {
	// DataDir is the folder of the data sets' files.
	DataDir string
	// Threads is the number of threads; 0 means one for each core.
	Threads int
	// Dir is the directory of the run, which must not exist; "" means the next
	// free number in "runs".
	Dir string
	// From is the file of weights, or the run, to start from: required to
	// quantize and to fine-tune, possible to train.
	From string
	// Log receives what is done while it is done; nil is silent.
	Log io.Writer
}

// A run is one session of work on a run directory.
type run struct {
	cfg     Config
	opt     Options
	dir     string
	out     io.Writer
	pool    *parallel.Pool
	data    *datasets.Splits
	plan    Blueprint
	net     *layers.Net
	graph   *autograd.Graph // the quantized network; nil where there is none
	journal journal
	machine machine
}

// A stage is one step of a run. It reads files of earlier stages, writes its own,
// and sets what it found in the journal.
type stage struct {
	name string
	what string
	do   func(r *run, ctx context.Context) error
}

// stages returns what a configuration asks for, in order.
func (c Config) stages() []stage {
	var list []stage
	if c.Task != FineTune {
		list = append(list, stage{"float", "train in floating point", (*run).trainFloat})
	}
	if c.Quant != Float {
		if c.Task != FineTune {
			list = append(list, stage{"calibrate", "put quantizers in and find their ranges", (*run).calibrate})
		}
		list = append(list, stage{"finetune", "train on integers", (*run).fineTune})
		if c.Integer {
			list = append(list,
				stage{"lower", "make the integer model and prove its bounds", (*run).lower},
				stage{"verify", "compare the integer model with the network, code by code", (*run).verify},
				stage{"export", "write other formats", (*run).export})
		}
	}
	return append(list, stage{"report", "measure and sum up", (*run).report})
}

// Start makes a run directory and does all that c asks for. What is wrong with
// the call is found before the directory is made; where an integer model is
// wanted, also whether the network can become one.
//
// When ctx is cancelled the step that runs is finished, a checkpoint is written
// and the error is a [*StageError], as for all that goes wrong in a stage.
func Start(ctx context.Context, c Config, o Options) (*Result, error) {
	if c.Task == Quantize {
		c.Float.Epochs, c.Tune.Epochs = 0, 0
	}
	if err := c.readNet(); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if o.From == "" && c.Task != Train {
		return nil, configError("%s needs weights to start from: name a run or a file", c.Task)
	}
	if _, err := os.Lstat(o.Dir); o.Dir != "" && err == nil { // found before the data is read
		return nil, &files.RunExistsError{Path: o.Dir}
	}
	r, err := newRun(c, o, c.Data)
	if err != nil {
		return nil, err
	}
	defer r.pool.Close()
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	initial, err := r.initial()
	if err != nil {
		return nil, err
	}
	if r.dir = o.Dir; r.dir == "" {
		r.dir, err = files.NextRun("runs")
	} else {
		err = files.CreateRunDir(r.dir)
	}
	if err != nil {
		return nil, err
	}
	lock, err := files.LockRun(r.dir)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	r.machine.Started = time.Now().UTC().Format(time.RFC3339)
	if err := r.begin(initial); err != nil {
		return nil, err
	}
	r.logf("run: %s", r.dir)
	return r.work(ctx)
}

// Resume continues the run in dir from its last checkpoint. Threads, DataDir and
// Log of o count, and where they are empty what the run was started with. A
// run that is finished is left as it is; one that another process is at work on
// is an error that matches [train.ErrBusy].
func Resume(ctx context.Context, dir string, o Options) (*Result, error) {
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, configError("%s: there is no %s in it: it is not a run, or was stopped before it began", dir, configFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRun, err)
	}
	if exists(dir, resultFile) {
		return finished(dir)
	}
	lock, err := files.LockRun(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if exists(dir, resultFile) { // written by whoever held the lock
		return finished(dir)
	}
	c, err := ParseConfig(text, "")
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRun, filepath.Join(dir, configFile), err)
	}
	var before machine
	if err := readDocument(dir, machineFile, &before); err != nil {
		return nil, err
	}
	if o.DataDir == "" {
		o.DataDir = before.DataDir
	}
	data := c.Data
	if before.Data != "" {
		data = before.Data
	}
	r, err := newRun(c, o, data)
	if err != nil {
		return nil, err
	}
	defer r.pool.Close()
	if before.Version != r.machine.Version {
		r.logf("note: the run was started with Bitgrad %s, this is %s", before.Version, r.machine.Version)
	}
	r.dir = dir
	r.machine.carry(before)
	checksum := r.journal.DataSHA256
	if err := readDocument(dir, journalFile, &r.journal); err != nil {
		return nil, err
	}
	if r.journal.Version != journalVersion {
		return nil, fmt.Errorf("%w: %s has version %d: this program reads %d", ErrRun, filepath.Join(dir, journalFile), r.journal.Version, journalVersion)
	}
	if r.journal.DataSHA256 != checksum {
		return nil, configError("%s: the images of %s are not those that the run was started with", dir, c.Data)
	}
	if err := r.clean(); err != nil {
		return nil, err
	}
	r.logf("continuing %s", dir)
	return r.work(ctx)
}

// newRun opens the data set, which a folder may stand for, and builds the
// network; it writes nothing.
func newRun(c Config, o Options, data string) (*run, error) {
	if err := cpu.Err(); err != nil {
		return nil, configError("%v", err)
	}
	if o.Threads < 0 {
		return nil, configError("threads %d: must not be negative", o.Threads)
	}
	r := &run{cfg: c, opt: o, out: o.Log}
	if r.out == nil {
		r.out = io.Discard
	}
	var err error
	if r.data, err = openData(data, o.DataDir, c.Limit); err != nil {
		return nil, err
	}
	info := r.data.Train.Info()
	r.describeData()
	augment, err := datasets.ParseAugmentation(c.Augment)
	if err != nil {
		return nil, err
	}
	for _, a := range augment {
		if err := a.Validate(info); err != nil {
			return nil, err
		}
	}
	if r.plan, err = newBlueprint(c, info); err != nil {
		return nil, err
	}
	if r.net, err = r.plan.build(); err != nil {
		return nil, fmt.Errorf("%w: net %s for images [%d %d %d]: %w", ErrConfig, c.Net, info.C, info.H, info.W, err)
	}
	r.logf("net: %s, %s parameters, %s multiply-accumulates an image", c.Net, group(int64(r.net.Count())), group(r.net.MACs()))
	if c.Quant != Float {
		var report *fakequant.Report
		if r.graph, report, err = r.plan.prepare(r.net.Graph); err != nil {
			return nil, err
		}
		r.logf("quantization: %s%s", c.Quant, rulesText(c.Rules))
		for _, w := range report.Rows {
			if w.Why != "" {
				r.logf("  %s stays float, at least in part: %s", w.Name, w.Why)
			}
		}
	}
	r.journal = journal{Version: journalVersion, Done: []string{}}
	if r.journal.DataSHA256, err = checksumOf(r.data); err != nil {
		return nil, err
	}
	threads := o.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	r.pool = parallel.New(threads)
	r.machine = newMachine(threads, o)
	if stat, err := os.Stat(data); err == nil && stat.IsDir() {
		r.machine.Data = absolute(data)
	}
	return r, nil
}

// begin writes what a run directory holds before its first stage. The
// configuration comes last: with it the run exists.
func (r *run) begin(initial func(path string) error) error {
	if initial != nil {
		if err := initial(r.path(initialFile)); err != nil {
			return err
		}
	}
	if err := r.save(); err != nil {
		return err
	}
	text, err := r.cfg.encode()
	if err != nil {
		return err
	}
	return files.WriteAtomic(r.path(configFile), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// save writes progress.json and run.json.
func (r *run) save() error {
	if err := writeDocument(r.dir, journalFile, r.journal); err != nil {
		return err
	}
	return writeDocument(r.dir, machineFile, r.machine)
}

// clean removes what killed writers left behind.
func (r *run) clean() error {
	return filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		_, err = files.RemoveLeftovers(path)
		return err
	})
}

// work does the stages that are not done.
func (r *run) work(ctx context.Context) (*Result, error) {
	r.machine.Sessions++
	list := r.cfg.stages()
	for i, s := range list {
		if r.journal.has(s.name) {
			r.logf("[%d/%d] %s: done before", i+1, len(list), s.name)
			continue
		}
		r.logf("[%d/%d] %s: %s", i+1, len(list), s.name, s.what)
		start := time.Now()
		err := ctx.Err()
		if err == nil {
			err = s.do(r, ctx)
		}
		r.machine.StageSeconds[s.name] += time.Since(start).Seconds()
		r.machine.PeakRSSBytes = max(r.machine.PeakRSSBytes, host.PeakRSS())
		if err != nil {
			cancelled := ctx.Err()
			err = &StageError{Dir: r.dir, Task: r.cfg.Task, Stage: s.name, Err: err, Interrupted: cancelled != nil && errors.Is(err, cancelled)}
			return nil, errors.Join(err, writeDocument(r.dir, machineFile, r.machine))
		}
		r.journal.Done = append(r.journal.Done, s.name)
		if err := r.save(); err != nil {
			return nil, err
		}
	}
	result, err := r.result()
	if err != nil {
		return nil, err
	}
	if err := writeDocument(r.dir, resultFile, result); err != nil {
		return nil, err
	}
	return readResult(r.dir)
}

// finished returns the result of a run in which nothing is left to do.
func finished(dir string) (*Result, error) {
	r, err := readResult(dir)
	if err == nil {
		r.done = true
	}
	return r, err
}

// readResult reads the result of a run that is finished.
func readResult(dir string) (*Result, error) {
	r := &Result{dir: dir}
	if err := readDocument(dir, resultFile, r); err != nil {
		return nil, err
	}
	for name, file := range r.Files {
		r.Files[name] = filepath.Join(dir, file)
	}
	return r, nil
}

func (r *run) path(name string) string { return filepath.Join(r.dir, name) }

func (r *run) logf(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

func rulesText(rules []string) string {
	text := ""
	for _, s := range rules {
		text += ", " + s
	}
	return text
}

// carry takes over what earlier sessions of the run spent.
func (m *machine) carry(before machine) {
	m.Started, m.Sessions, m.From = before.Started, before.Sessions, before.From
	m.PeakRSSBytes, m.ImagesPerS = before.PeakRSSBytes, before.ImagesPerS
	for name, seconds := range before.StageSeconds {
		m.StageSeconds[name] = seconds
	}
}

// Stages returns the names of the stages of a run of this configuration.
func (c Config) Stages() []string {
	var names []string
	for _, s := range c.stages() {
		names = append(names, s.name)
	}
	return slices.Clip(names)
}
