package kernels

import "fmt"

// A SparseProduct adds, to each of its groups, rows of Src that are scaled by the values of its terms,
//
//	Dst[g.At + r·DstStep + j] += Σ over the terms t of g of t.Value · Src[t.At + r·SrcStep + j]
//
// for r < Rows and j < Width, a multiple of 8. A group sums its terms in their order and is added to
// Dst once, after the groups before it. It is the product of a sparse matrix with patches of an image,
// or with weights, that need not be copied for it.
type SparseProduct struct {
	Rows, Width      int
	Dst, Src         []float32
	DstStep, SrcStep int
	Groups           []SparseGroup
	Terms            []SparseTerm
	TermStep         int // from one term of a group to the next
}

// A SparseGroup is one sum of a [SparseProduct].
type SparseGroup struct {
	At    int32 // where it is added
	First int32 // its first term
	Terms int32 // their number
}

// A SparseTerm is one term of a sum of a [SparseProduct].
type SparseTerm struct {
	At    int32
	Value float32
}

// sparseVector is what the width of a row is a multiple of.
const sparseVector = 8

// Run computes the product. It panics if a slice is too short.
func (p *SparseProduct) Run() {
	if p.Rows <= 0 || p.Width <= 0 || len(p.Groups) == 0 {
		return
	}
	p.check()
	p.run()
}

func (p *SparseProduct) check() {
	if min(p.DstStep, p.SrcStep, p.TermStep) < 0 || p.Width%sparseVector != 0 {
		panic(fmt.Sprintf("kernels: sparse product: rows of %d, strides %d %d %d", p.Width, p.DstStep, p.SrcStep, p.TermStep))
	}
	lastDst := len(p.Dst) - (p.Rows-1)*p.DstStep - p.Width
	lastSrc := len(p.Src) - (p.Rows-1)*p.SrcStep - p.Width
	for _, g := range p.Groups {
		last := int64(g.First) + int64(g.Terms-1)*int64(p.TermStep)
		if g.At < 0 || int(g.At) > lastDst || g.First < 0 || g.Terms < 0 || g.Terms > 0 && last >= int64(len(p.Terms)) {
			panic(fmt.Sprintf("kernels: sparse product: %d terms from %d on, %d apart, of %d, at %d of the result (last possible %d)", g.Terms, g.First, p.TermStep, len(p.Terms), g.At, lastDst))
		}
	}
	if at := lastTerm(p.Terms); at > lastSrc {
		panic(fmt.Sprintf("kernels: sparse product: a term at %d of the source (last possible %d)", at, lastSrc))
	}
}

// lastTerm returns the largest place of a term, a negative one as more than 1<<31.
func lastTerm(terms []SparseTerm) int {
	var a, b, c, d uint32
	for ; len(terms) >= 4; terms = terms[4:] {
		a, b = max(a, uint32(terms[0].At)), max(b, uint32(terms[1].At))
		c, d = max(c, uint32(terms[2].At)), max(d, uint32(terms[3].At))
	}
	for _, t := range terms {
		a = max(a, uint32(t.At))
	}
	return int(max(a, b, c, d))
}

func ceil8(n int) int { return (n + sparseVector - 1) &^ (sparseVector - 1) }

func (p *SparseProduct) runPortable() {
	var sums [64]float32
	for r := range p.Rows {
		for j := 0; j < p.Width; j += len(sums) {
			sum := sums[:min(p.Width-j, len(sums))]
			for _, g := range p.Groups {
				clear(sum)
				for i := range int(g.Terms) {
					t := p.Terms[int(g.First)+i*p.TermStep]
					v := t.Value
					for i, x := range p.Src[int(t.At)+r*p.SrcStep+j:][:len(sum)] {
						sum[i] += float32(v * x)
					}
				}
				dst := p.Dst[int(g.At)+r*p.DstStep+j:][:len(sum)]
				for i, v := range sum {
					dst[i] += v
				}
			}
		}
	}
}
