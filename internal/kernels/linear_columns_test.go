package kernels

import (
	"fmt"
	"testing"
)

// Columns on their own give the same bits as rows of the whole.
func TestLinearBackwardInputColumns(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		for _, d := range []struct{ n, i, o, step int }{{1, 1, 1, 1}, {3, 5, 2, 2}, {17, 70, 10, 32}, {32, 64, 48, 20}} {
			l := Linear{I: d.i, O: d.o}
			w, dy := normals(r, d.o*d.i), normals(r, d.n*d.o)
			want := normals(r, d.n*d.i)
			got := append([]float32(nil), want...)
			for _, add := range []bool{true, false} {
				l.BackwardInput(want, dy, w, 0, d.n, add)
				for i0 := 0; i0 < d.i; i0 += d.step {
					i1 := min(i0+d.step, d.i)
					var columns []float32
					for o := range d.o {
						columns = append(columns, w[o*d.i+i0:o*d.i+i1]...)
					}
					l.BackwardInputColumns(got, dy, columns, d.n, i0, i1, add)
				}
				equalSlices(t, fmt.Sprint(d, add), got, want)
			}
		}
	})
}
