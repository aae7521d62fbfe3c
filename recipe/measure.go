package recipe

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/integer"
)

// measureTime is how long a rate is measured; tests have no patience.
var measureTime = 150 * time.Millisecond

// measureBatch is the batch of a program that is measured, measureImages that of
// the engine.
const (
	measureBatch  = 128
	measureImages = 1024
)

// measureGraph returns the images per second of the evaluation program.
func measureGraph(g *autograd.Graph, ds datasets.Dataset, batch int, pool *autograd.Pool) (*float64, error) {
	b, n, err := firstImages(ds, batch)
	if err != nil {
		return nil, err
	}
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Evaluate, Batch: n, Outputs: []string{"logits"}, Pool: pool})
	if err != nil {
		return nil, err
	}
	return measure(n, func() error {
		if b.Floats != nil {
			err = p.LoadFloats("input", b.Floats)
		} else {
			err = p.LoadPixels("input", b.Pixels)
		}
		p.Forward()
		return err
	})
}

// measureModel returns the images per second of the engine.
func measureModel(m *integer.Model, ds datasets.Dataset, threads int) (*float64, error) {
	b, n, err := firstImages(ds, measureImages)
	if err != nil {
		return nil, err
	}
	e, err := integer.NewEngine(m, integer.EngineOptions{Workers: threads})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var logits []int64
	return measure(n, func() error {
		logits, err = runEngine(e, logits[:0], b)
		return err
	})
}

func runEngine(e *integer.Engine, dst []int64, b *datasets.Batch) ([]int64, error) {
	if b.Floats != nil {
		return e.RunFloat(dst, b.Floats)
	}
	return e.Run(dst, b.Pixels)
}

func firstImages(ds datasets.Dataset, most int) (*datasets.Batch, int, error) {
	indices := make([]int, min(most, ds.Info().N))
	for i := range indices {
		indices[i] = i
	}
	b := &datasets.Batch{}
	return b, len(indices), ds.Read(b, indices)
}

// measure returns the rate of f, which handles n images, after a first call that
// does not count.
func measure(n int, f func() error) (*float64, error) {
	if err := f(); err != nil {
		return nil, err
	}
	start, images := time.Now(), 0
	for images == 0 || time.Since(start) < measureTime {
		if err := f(); err != nil {
			return nil, err
		}
		images += n
	}
	rate := float64(images) / time.Since(start).Seconds()
	return &rate, nil
}

// evaluateModel classifies every image of ds with the engine.
func evaluateModel(ctx context.Context, m *integer.Model, ds datasets.Dataset, threads int) (*Evaluation, error) {
	info := ds.Info()
	t := m.Input().Out
	if t.C != info.C || t.H != info.H || t.W != info.W {
		return nil, configError("%s holds images [%d %d %d], the model %s takes [%d %d %d]", info.Name, info.C, info.H, info.W, m.Name, t.C, t.H, t.W)
	}
	classes := m.Nodes[m.Output].Out.Len()
	if classes < info.Classes {
		return nil, configError("%s has %d classes, the model %s tells %d apart", info.Name, info.Classes, m.Name, classes)
	}
	e, err := integer.NewEngine(m, integer.EngineOptions{Workers: threads})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	out := newEvaluation(info)
	var b datasets.Batch
	var logits []int64
	err = eachBatch(ds, 256, &b, func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if logits, err = runEngine(e, logits[:0], &b); err != nil {
			return err
		}
		for i, label := range b.Labels {
			out.count(int(label), rank(logits[i*classes:(i+1)*classes], int(label)))
		}
		return nil
	})
	out.finish()
	return out, err
}

// rank returns how many classes come before the given one: those with a larger
// logit, and lower ones with the same.
func rank(logits []int64, class int) int {
	before := 0
	for c, v := range logits {
		if v > logits[class] || v == logits[class] && c < class {
			before++
		}
	}
	return before
}

// compare runs export.VerifyModel and says how far it is.
func compare(ctx context.Context, m *integer.Model, g *autograd.Graph, ds datasets.Dataset, images int, pool *autograd.Pool, out io.Writer) (*export.Diff, error) {
	start, next := time.Now(), 5*time.Second
	d, err := export.VerifyModel(ctx, m, g, ds, export.VerifyOptions{Images: images, Workers: pool.Workers(), OnProgress: func(done, total int) {
		if spent := time.Since(start); spent > next && done < total {
			next = spent + 5*time.Second
			left := time.Duration(float64(spent) / float64(done) * float64(total-done)).Round(time.Second)
			fmt.Fprintf(out, "  %s of %s images compared, %v left\n", group(int64(done)), group(int64(total)), left)
		}
	}})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "  %s codes of %s images compared, %s differ\n", group(d.Codes), group(int64(d.Images)), group(d.Mismatches))
	return d, nil
}
