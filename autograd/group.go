package autograd

// groupBytes is how much memory a program should use so that what one node writes is still in a
// cache when the next one reads it, the last-level caches of a few cores being some megabytes.
const groupBytes = 6 << 20

// CacheBatch returns how many samples a program of these options, which say nothing of the batch,
// should take at a time to be fast: from 8 to 128, a multiple of 8. Where samples do not depend on
// one another, as in [Evaluate], it changes no result.
func (g *Graph) CacheBatch(opt CompileOptions) (int, error) {
	opt.Batch = 8
	p, err := g.layOut(opt)
	if err != nil {
		return 0, err
	}
	planned, _ := p.Bytes()
	return min(max(groupBytes/max(planned, 1), 1), 16) * 8, nil
}
