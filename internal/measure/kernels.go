package measure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/layers"
)

// Kernels of a convolution or a linear layer.
const (
	ForwardKernel = "forward"
	InputKernel   = "input gradient"
	WeightKernel  = "weight gradient"
	ByteKernel    = "bytes forward"
)

// KernelNames lists them in their order.
var KernelNames = []string{ForwardKernel, InputKernel, WeightKernel, ByteKernel}

// A KernelLine is one kernel on the shape of one or more nodes of a network.
type KernelLine struct {
	Net string `json:"net"`
	// Node is the first node of the shape, Count how many there are.
	Node  string `json:"node"`
	Count int    `json:"count"`
	// Shape says what the kernel computes: "3×3 16→32 stride 2 on 32×32".
	Shape string `json:"shape"`
	// Channels is the number of input channels.
	Channels int    `json:"channels"`
	Kernel   string `json:"kernel"`
	// Seconds is the shortest run over a batch, MACs and the rest as in a Line.
	Seconds float64 `json:"seconds"`
	MACs    int64   `json:"macs"`
	Bytes   int64   `json:"bytes"`
	Limit   string  `json:"limit"`
	Share   float64 `json:"share"`
	// Peak is the rate of multiplying in registers that was measured just before and after the kernel, in operations
	// per second, and OfPeak the share of it that the kernel reaches, whatever the limit is.
	Peak   float64 `json:"peak"`
	OfPeak float64 `json:"of_peak"`
	// Tiles says that the kernel goes by tiles, which takes fewer multiplications than MACs counts: Share and
	// OfPeak may be more than 1.
	Tiles bool `json:"tiles"`
}

// KernelOptions say how kernels are measured.
type KernelOptions struct {
	// Batch is the number of images, Seconds how long each kernel runs.
	Batch   int
	Seconds float64
	Limits  Limits
	// Only names the kernels that run; all do if it is empty.
	Only []string
}

// Kernels runs every kernel of the convolutions and linear layers of a network of
// package layers by itself, without bias, activation or requantization, on as many
// threads as the limits were measured with. Images are spread over the threads as in a
// step.
func Kernels(ctx context.Context, net string, o KernelOptions) ([]KernelLine, error) {
	if o.Batch < 1 || !(o.Seconds > 0) {
		return nil, configError("batch %d, %v seconds: must be positive", o.Batch, o.Seconds)
	}
	shapes, err := shapesOf(net)
	if err != nil {
		return nil, err
	}
	pool := parallel.New(o.Limits.Threads)
	defer pool.Close()
	fma, products := fmaGauge(pool), byteGauge(pool)
	var lines []KernelLine
	for _, s := range shapes {
		for _, k := range s.kernels(pool, o.Batch) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if len(o.Only) > 0 && !slices.Contains(o.Only, k.name) {
				continue
			}
			line := Line{MACs: s.macs() * int64(o.Batch), Bytes: k.bytes, Integers: k.name == ByteKernel}
			gauge := fma
			if line.Integers {
				gauge = products
			}
			peak := gauge.all()
			line.Seconds = fastest(k.run, o.Seconds)
			peak = max(peak, gauge.all())
			line.bound(o.Limits)
			lines = append(lines, KernelLine{Net: net, Node: s.node, Count: s.count, Shape: s.String(), Channels: s.conv.C, Kernel: k.name,
				Seconds: line.Seconds, MACs: line.MACs, Bytes: line.Bytes, Limit: line.Limit, Share: line.Share,
				Peak: peak, OfPeak: 2 * float64(line.MACs) / line.Seconds / peak, Tiles: k.tiles})
		}
	}
	return lines, nil
}

// fastest returns the shortest run of f, of as many as fit the time, at least three
// after one that does not count.
func fastest(f func(), seconds float64) float64 {
	f()
	best := 0.0
	for begin, n := time.Now(), 0; n < 3 || time.Since(begin).Seconds() < seconds; n++ {
		start := time.Now()
		f()
		if took := time.Since(start).Seconds(); n == 0 || took < best {
			best = took
		}
	}
	return best
}

// A shape is that of one or more convolutions or linear layers of a network.
type shape struct {
	node   string
	count  int
	linear bool // from conv.C features to conv.O
	conv   kernels.ConvShape
}

// shapesOf lists the different shapes of a network in its order.
func shapesOf(name string) ([]*shape, error) {
	build, err := layers.ByName(name)
	if err != nil {
		return nil, err
	}
	var shapes []*shape
	for _, n := range build(layers.WithFloatInput()).Graph.Nodes() {
		s := &shape{node: n.Name(), count: 1}
		switch op := n.Op().(type) {
		case autograd.Conv2DOp:
			if s.conv, err = op.Shape(n.Input(0).Type(), n.Input(1).Type()); err != nil {
				return nil, err
			}
		case autograd.LinearOp:
			w := n.Input(1).Type().Shape
			s.linear, s.conv = true, kernels.ConvShape{C: w[1], O: w[0], KH: 1, KW: 1, H: 1, W: 1}
			if err := s.conv.Complete(); err != nil {
				return nil, err
			}
		default:
			continue
		}
		same := func(o *shape) bool { return o.linear == s.linear && o.conv == s.conv }
		if i := slices.IndexFunc(shapes, same); i >= 0 {
			shapes[i].count++
			continue
		}
		shapes = append(shapes, s)
	}
	return shapes, nil
}

// String describes the shape.
func (s *shape) String() string {
	c := &s.conv
	if s.linear {
		return fmt.Sprintf("linear %d→%d", c.C, c.O)
	}
	text := fmt.Sprintf("%d×%d %d→%d", c.KH, c.KW, c.C, c.O)
	if c.Depthwise() {
		text = fmt.Sprintf("%d×%d depthwise %d", c.KH, c.KW, c.C)
	}
	if c.StrideH != 1 || c.StrideW != 1 {
		text += fmt.Sprintf(" stride %d", c.StrideH)
	}
	return text + fmt.Sprintf(" on %d×%d", c.H, c.W)
}

func (s *shape) macs() int64 { return s.conv.MACs() }

// A kernel runs over a batch.
type kernel struct {
	name  string
	bytes int64
	tiles bool
	run   func()
}

func (s *shape) kernels(pool *autograd.Pool, batch int) []kernel {
	if s.linear {
		return s.linearKernels(pool, batch)
	}
	return s.convKernels(pool, batch)
}

// convKernels spreads images over the workers. Each image has a weight gradient of its
// worker's own, as chunks of a batch have in training.
func (s *shape) convKernels(pool *autograd.Pool, batch int) []kernel {
	c := &s.conv
	x, xl := tensorOf(batch, c.H, c.W, c.C, c.PadTop, c.PadLeft, c.PadBottom, c.PadRight)
	input := c.InputGradient()
	top, left, bottom, right := input.DyBorder()
	y, yl := tensorOf(batch, c.OH, c.OW, c.O, top, left, bottom, right)
	w := Samples(1, c.WeightSize())
	in, out := int64(batch*c.H*c.W*c.C), int64(batch*c.OH*c.OW*c.O)
	floats := 4 * (in + out + int64(len(w)))
	integer, codes, packed := s.bytes(w, len(x))
	scratch := perWorker[uint8](pool, integer.ScratchLen())
	block := integer.BlockRows()
	acc := perWorker[int32](pool, block*c.OW*c.O)
	// over runs f for every image.
	over := func(f func(worker, n int)) func() { return func() { pool.Run(batch, f) } }
	forward, backward, weight := kernel{name: ForwardKernel, bytes: floats}, kernel{name: InputKernel, bytes: floats}, kernel{name: WeightKernel, bytes: floats}
	if k, ok := c.WinogradForward(); ok {
		p, scratch := make([]float32, k.Size()), perWorker[float32](pool, k.ScratchLen())
		k.Pack(p, w)
		forward.tiles, forward.run = true, over(func(worker, n int) { k.Rows(y, yl, x, xl, p, nil, scratch[worker], n, 0, c.OH, false) })
	} else {
		p := make([]float32, c.ForwardSize())
		c.PackForward(p, w)
		forward.run = over(func(_, n int) { c.Forward(y, yl, x, xl, p, nil, n, n+1) })
	}
	if k, ok := c.WinogradBackward(); ok {
		p, scratch := make([]float32, k.Size()), perWorker[float32](pool, k.ScratchLen())
		k.Pack(p, w)
		backward.tiles, backward.run = true, over(func(worker, n int) { k.Rows(x, xl, y, yl, p, nil, scratch[worker], n, 0, c.H, false) })
	} else {
		p := make([]float32, input.PackedSize())
		input.Pack(p, w)
		backward.run = over(func(_, n int) { input.Backward(x, xl, y, yl, p, n, n+1, false) })
	}
	if k, ok := c.WinogradWeight(); ok {
		dw, scratch := perWorker[float32](pool, k.Size()), perWorker[float32](pool, k.ScratchLen())
		parts := (batch + weightImages - 1) / weightImages
		weight.tiles, weight.run = true, func() {
			pool.Run(parts, func(worker, i int) {
				sum := k.Begin(dw[worker], scratch[worker])
				for n := i * weightImages; n < min((i+1)*weightImages, batch); n++ {
					sum.Image(x, xl, y, yl, n)
				}
				sum.End()
			})
		}
	} else {
		dw := perWorker[float32](pool, len(w))
		weight.run = over(func(worker, n int) { c.BackwardWeight(dw[worker], x, xl, y, yl, n, n+1, false) })
	}
	onBytes := over(func(worker, n int) {
		for oh := 0; oh < c.OH; oh += block {
			integer.Rows(acc[worker], codes, xl, packed, scratch[worker], n, oh, min(oh+block, c.OH))
		}
	})
	return []kernel{forward, backward, weight, {name: ByteKernel, bytes: in + 4*out + int64(len(w)), run: onBytes}}
}

// weightImages is how many images a worker adds up for the gradient of a weight where it goes by tiles, which are too
// few in one.
const weightImages = 8

// perWorker returns a slice of n elements for every worker.
func perWorker[T any](pool *autograd.Pool, n int) [][]T {
	all := make([][]T, pool.Workers())
	for i := range all {
		all[i] = make([]T, n)
	}
	return all
}

// linearRows is the number of rows of a result that one worker computes at a time.
const linearRows = 16

// linearKernels spreads rows of the results over the workers.
func (s *shape) linearKernels(pool *autograd.Pool, batch int) []kernel {
	l := kernels.Linear{I: s.conv.C, O: s.conv.O}
	x, y, w := Samples(batch, l.I), Samples(batch, l.O), Samples(l.O, l.I)
	packedForward, dw := make([]float32, l.ForwardSize()), make([]float32, len(w))
	l.PackForward(packedForward, w)
	dx := make([]float32, len(x))
	split := func(rows int, f func(worker, from, to int)) {
		pool.Run((rows+linearRows-1)/linearRows, func(worker, i int) { f(worker, i*linearRows, min((i+1)*linearRows, rows)) })
	}
	blocks := shape{conv: s.conv}
	blocks.conv.W, blocks.conv.OW = linearRows, linearRows
	integer, codes, packed := blocks.bytes(w, batch*l.I)
	scratch := perWorker[uint8](pool, integer.ScratchLen())
	acc := make([]int32, batch*l.O)
	floats := 4 * int64(len(x)+len(y)+len(w))
	return []kernel{
		{name: ForwardKernel, bytes: floats, run: func() {
			split(batch, func(_, from, to int) { l.Forward(y, x, packedForward, nil, from, to) })
		}},
		{name: InputKernel, bytes: floats, run: func() {
			split(batch, func(_, from, to int) { l.BackwardInput(dx, y, w, from, to, false) })
		}},
		{name: WeightKernel, bytes: floats, run: func() {
			split(l.O, func(_, from, to int) { l.BackwardWeight(dw, x, y, batch, from, to, false) })
		}},
		{name: ByteKernel, bytes: int64(len(x) + 4*len(y) + len(w)), run: func() {
			split(batch, func(worker, from, to int) {
				rows := *integer
				rows.W, rows.OW = to-from, to-from
				rows.Rows(acc[from*l.O:], codes[from*l.I:], kernels.Dense(1, 1, to-from, l.I), packed, scratch[worker], 0, 0, 1)
			})
		}},
	}
}

// bytes returns the integer form of a shape with unsigned codes: n of them with the slack
// that the kernels ask for, and packed weights.
func (s *shape) bytes(w []float32, n int) (c *kernels.IntConv, codes []uint8, packed *kernels.IntWeights) {
	c = &kernels.IntConv{ConvShape: s.conv}
	codes = make([]uint8, n+kernels.Slack)
	for i := range n {
		codes[i] = uint8(i * 7)
	}
	weights := make([]uint8, len(w))
	for i, v := range w {
		weights[i] = uint8(int8(v * 73)) // √3·73 = 126.4
	}
	packed = new(kernels.IntWeights)
	c.Pack(packed, weights)
	c.Start(packed, nil, 0)
	return c, codes, packed
}

// tensorOf returns a tensor with a border of zeros.
func tensorOf(n, h, w, c, top, left, bottom, right int) ([]float32, kernels.Layout) {
	l, size := kernels.Bordered(n, h, w, c, top, left, bottom, right)
	x := make([]float32, size)
	for i := range n {
		for r := range h {
			copy(x[l.Row(i, r):][:w*c], Samples(1, w*c))
		}
	}
	return x, l
}
