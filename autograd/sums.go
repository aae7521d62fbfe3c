package autograd

import "github.com/bitgrad/bitgrad/internal/kernels"

// Sums over a batch are taken over fixed parts that depend on shapes alone and
// added in a fixed tree, so that the number of workers changes no byte.

// chunks computes a sum of vectors over the samples of a batch.
type chunks struct {
	batch, n, size int
	part           []float32 // n vectors
	chunk          func(worker int, dst []float32, n0, n1 int)
	each, add      func(worker, i int)
}

// newChunks splits batch samples into n parts; chunk computes the sum of
// samples n0..n1-1. The memory holds n vectors of the given size.
func newChunks(batch, n, size int, memory []float32, chunk func(worker int, dst []float32, n0, n1 int)) *chunks {
	c := &chunks{batch: batch, n: n, size: size, part: memory, chunk: chunk}
	c.each, c.add = c.compute, c.sumBlock
	return c
}

func (c *chunks) run(ctx *Context) {
	ctx.Pool.Run(c.n, c.each)
	c.addUp(ctx)
}

// addUp adds the parts up when all are computed.
func (c *chunks) addUp(ctx *Context) {
	if c.n > 1 {
		ctx.Pool.Run(blocks(c.size, sumBlock), c.add)
	}
}

// sum returns the sum, which lies in the memory of the chunks.
func (c *chunks) sum() []float32 { return c.part[:c.size] }

func (c *chunks) compute(worker, i int) {
	c.chunk(worker, c.part[i*c.size:(i+1)*c.size], i*c.batch/c.n, (i+1)*c.batch/c.n)
}

// sumBlock is the number of elements that one worker sums at a time.
const sumBlock = 4096

func (c *chunks) sumBlock(_, b int) {
	from, to := b*sumBlock, min((b+1)*sumBlock, c.size)
	for step := 1; step < c.n; step *= 2 {
		for i := 0; i+step < c.n; i += 2 * step {
			dst := c.part[i*c.size+from : i*c.size+to]
			kernels.Add(dst, dst, c.part[(i+step)*c.size+from:])
		}
	}
}

// bands are the pieces of the images of a batch: whole images or, where these are few, some
// rows of one. They depend on shapes alone.
type bands struct {
	images, height int
	per            int // bands of an image
}

func newBands(images, height int) bands {
	const few = 16
	return bands{images, height, max(1, min(height/4, few/max(images, 1)))}
}

// all returns the number of bands.
func (b bands) all() int { return b.images * b.per }

// rows returns the image and the rows of band i. It begins at a row that is a multiple of four, where tiles do.
func (b bands) rows(i int) (n, from, to int) {
	n, i = i/b.per, i%b.per
	from, to = i*b.height/b.per&^3, b.height
	if i+1 < b.per {
		to = (i + 1) * b.height / b.per &^ 3
	}
	return n, from, to
}

// moments computes the sums of a and of a·b over the batch, the rows and the
// columns, per channel and in float64.
type moments struct {
	a, b  View
	bands bands
	n     int // parts
	// A and AB are the sums.
	A, AB []float64
	part  []float64 // per part the sums of a, then of a·b
	each  func(worker, i int)
}

// newMoments binds the sums of a and of a·b, which have the same shape and may be
// the same view.
func newMoments(a, b View) *moments {
	c := a.L.C
	rows, length := a.Rows()
	m := &moments{a: a, b: b, bands: newBands(a.L.N, a.L.H), A: make([]float64, c), AB: make([]float64, c)}
	m.n = max(1, min(m.bands.all(), 64, rows*length/2048))
	m.part = make([]float64, m.n*2*c)
	m.each = m.compute
	return m
}

func (m *moments) run(c *Context) {
	c.Pool.Run(m.n, m.each)
	ch := len(m.A)
	for step := 1; step < m.n; step *= 2 {
		for i := 0; i+step < m.n; i += 2 * step {
			dst, src := m.sums(i), m.sums(i+step)
			for k := range dst {
				dst[k] += src[k]
			}
		}
	}
	copy(m.A, m.part[:ch])
	copy(m.AB, m.part[ch:2*ch])
}

// sums returns the memory of part i.
func (m *moments) sums(i int) []float64 {
	width := 2 * len(m.A)
	return m.part[i*width : (i+1)*width]
}

// first returns the first band of part i, which ends where the next part begins.
func (m *moments) first(i int) int { return i * m.bands.all() / m.n }

func (m *moments) compute(_, i int) {
	m.begin(i)
	for k := m.first(i); k < m.first(i+1); k++ {
		m.add(i, k)
	}
}

// begin empties part i.
func (m *moments) begin(i int) { clear(m.sums(i)) }

// add takes band k into part i.
func (m *moments) add(i, k int) {
	s, ch := m.sums(i), len(m.A)
	n, from, to := m.bands.rows(k)
	a, b := m.a.L, m.b.L
	a.Off, a.H = a.Row(0, from), to-from
	b.Off = b.Row(0, from)
	kernels.ChannelProducts(s[:ch], s[ch:], m.a.F32, a, m.b.F32, b, n, n+1)
}

// channelSums writes the gradient of a vector that is added to every pixel.
type channelSums struct {
	dst View
	m   *moments
}

// newChannelSums binds dst[c] = Σ dy over channel c; nil where dst is empty.
func newChannelSums(dst, dy View) *channelSums {
	if dst.Empty() {
		return nil
	}
	return &channelSums{dst, newMoments(dy, dy)}
}

func (s *channelSums) run(c *Context) {
	s.m.run(c)
	writeSums(s.dst, s.m.A)
}

// imageSums writes the gradient of a vector that is added to every pixel. It takes
// the upstream gradient image by image, in any order.
type imageSums struct {
	dst  View
	l    Layout // of the upstream gradient
	part []float64
	sum  []float64
}

// newImageSums binds dst[c] = Σ dy over channel c; nil where dst is empty.
func newImageSums(dst, dy View) *imageSums {
	if dst.Empty() {
		return nil
	}
	return &imageSums{dst: dst, l: dy.L, part: make([]float64, dy.L.N*dy.L.C), sum: make([]float64, dy.L.C)}
}

// add takes in image n.
func (s *imageSums) add(n int, dy []float32) {
	part := s.part[n*s.l.C : (n+1)*s.l.C]
	clear(part)
	kernels.ChannelSums(part, dy, s.l, n, n+1)
}

// take takes in the sums of image n.
func (s *imageSums) take(n int, sums []float64) { copy(s.part[n*s.l.C:(n+1)*s.l.C], sums) }

// write adds up the images, in order, and writes the gradient.
func (s *imageSums) write() {
	clear(s.sum)
	for n := range s.l.N {
		for c, v := range s.part[n*s.l.C : (n+1)*s.l.C] {
			s.sum[c] += v
		}
	}
	writeSums(s.dst, s.sum)
}

// writeSums writes sums to a gradient, or adds them.
func writeSums(dst View, sums []float64) {
	for i, v := range sums {
		if dst.Add {
			v += float64(dst.F32[i])
		}
		dst.F32[i] = float32(v)
	}
}

// blocks returns how many blocks of the given size hold n elements.
func blocks(n, size int) int { return (n + size - 1) / size }
