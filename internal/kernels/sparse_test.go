package kernels

import (
	"math"
	"testing"
)

// TestSparseProduct holds every variant to the definition in float64, for widths of up to more than two
// tiles, numbers of rows and groups with and without terms.
func TestSparseProduct(t *testing.T) {
	forEach(t, "sparse", func(t *testing.T) {
		r := testRand()
		for vectors := range 60 {
			width, rows := 8*(vectors/2), 1+r.IntN(7)
			p := SparseProduct{Rows: rows, Width: width, SrcStep: width + r.IntN(9), DstStep: width + r.IntN(9), TermStep: 1 + r.IntN(3)}
			groups, places := r.IntN(6), 5
			size := (rows-1)*p.DstStep + width
			for range groups {
				n := r.IntN(5)
				p.Groups = append(p.Groups, SparseGroup{int32(r.IntN(places)), int32(len(p.Terms)), int32(n)})
				for range n * p.TermStep {
					p.Terms = append(p.Terms, SparseTerm{int32(r.IntN(places)), float32(r.NormFloat64())})
				}
			}
			src := guard[float32]((rows-1)*p.SrcStep+width+places-1, float32(math.NaN()), 0)
			copy(src.in, normals(r, len(src.in)))
			dst := guard[float32](size+places-1, -77, 0)
			copy(dst.in, normals(r, len(dst.in)))
			want, bound := make([]float64, len(dst.in)), make([]float64, len(dst.in))
			for i, v := range dst.in {
				want[i], bound[i] = float64(v), math.Abs(float64(v))
			}
			for _, g := range p.Groups {
				for i := range int(g.Terms) {
					term := p.Terms[int(g.First)+i*p.TermStep]
					for row := range rows {
						for j := range width {
							v := float64(term.Value) * float64(src.in[int(term.At)+row*p.SrcStep+j])
							want[int(g.At)+row*p.DstStep+j] += v
							bound[int(g.At)+row*p.DstStep+j] += math.Abs(v)
						}
					}
				}
			}
			p.Dst, p.Src = dst.in, src.in
			p.Run()
			dst.check(t, "sparse product")
			for i, v := range dst.in {
				if diff := math.Abs(float64(v) - want[i]); !(diff <= 26*0x1p-23*bound[i]) {
					t.Fatalf("%d rows of %d, %d groups: element %d is %v, want %v", rows, width, groups, i, v, want[i])
				}
			}
		}
	})
}

// TestSparseProductRefuses checks that what lies outside of a slice panics before anything is written.
func TestSparseProductRefuses(t *testing.T) {
	valid := func() SparseProduct {
		return SparseProduct{Rows: 2, Width: 8, Dst: make([]float32, 20), Src: make([]float32, 15), DstStep: 8, SrcStep: 4,
			Groups: []SparseGroup{{4, 1, 1}, {0, 0, 1}}, TermStep: 1, Terms: []SparseTerm{{3, 1}, {0, 1}}}
	}
	p := valid()
	p.Run()
	for name, spoil := range map[string]func(p *SparseProduct){
		"part of a vector":          func(p *SparseProduct) { p.Width = 7 },
		"negative stride":           func(p *SparseProduct) { p.SrcStep = -1 },
		"group before the result":   func(p *SparseProduct) { p.Groups[1].At = -1 },
		"group beyond the result":   func(p *SparseProduct) { p.Groups[0].At = 5 },
		"more terms than there are": func(p *SparseProduct) { p.Groups[0].Terms = 2 },
		"negative first term":       func(p *SparseProduct) { p.Groups[1].First = -1 },
		"negative number of terms":  func(p *SparseProduct) { p.Groups[1].Terms = -1 },
		"term before the source":    func(p *SparseProduct) { p.Terms[1].At = -1 },
		"term beyond the source":    func(p *SparseProduct) { p.Terms[0].At = 5 },
	} {
		t.Run(name, func(t *testing.T) {
			p := valid()
			spoil(&p)
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
				for i, v := range p.Dst {
					if v != 0 {
						t.Errorf("element %d is %v", i, v)
					}
				}
			}()
			for i := range p.Src {
				p.Src[i] = 1
			}
			p.Run()
		})
	}
}
