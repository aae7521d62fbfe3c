package kernels

// A Layout says where the elements of a channels-last tensor [N H W C] lie in a
// slice: element (n, h, w, c) at Off + n·SN + h·SH + w·SW + c. A tensor may have
// a border, which lies around the interior [H W] that the indices cover, and is
// reached by indices below 0 and from H or W on. SW is C or, for a range of the
// channels of a wider tensor, more.
type Layout struct {
	N, H, W, C int // extents
	SN, SH, SW int // strides in elements
	Off        int // index of element (0, 0, 0, 0)
}

// Dense returns the layout without border, N·H·W·C elements in all.
func Dense(n, h, w, c int) Layout {
	return Layout{N: n, H: h, W: w, C: c, SN: h * w * c, SH: w * c, SW: c}
}

// Bordered returns the layout [N, top+H+bottom, left+W+right, C] whose interior
// is [N H W C], and the number of elements of the whole.
func Bordered(n, h, w, c, top, left, bottom, right int) (l Layout, size int) {
	row := (left + w + right) * c
	image := (top + h + bottom) * row
	return Layout{N: n, H: h, W: w, C: c, SN: image, SH: row, SW: c, Off: top*row + left*c}, n * image
}

// Row returns the index of element (n, h, 0, 0).
func (l Layout) Row(n, h int) int { return l.Off + n*l.SN + h*l.SH }

// At returns the index of element (n, h, w, c).
func (l Layout) At(n, h, w, c int) int { return l.Off + n*l.SN + h*l.SH + w*l.SW + c }

// Packed reports whether the pixels of a row follow one another without gaps.
func (l Layout) Packed() bool { return l.SW == l.C }

// FromNCHW copies images n0..n1-1 of src, a dense tensor [N C H W], into dst of
// layout l. The border is left alone.
func FromNCHW[T any](dst []T, l Layout, src []T, n0, n1 int) {
	for n := n0; n < n1; n++ {
		for c := range l.C {
			plane := src[(n*l.C+c)*l.H*l.W:][:l.H*l.W]
			for h := range l.H {
				d := dst[l.Row(n, h)+c:]
				for w, v := range plane[h*l.W : (h+1)*l.W] {
					d[w*l.SW] = v
				}
			}
		}
	}
}

// ToNCHW copies images n0..n1-1 of src, of layout l, into dst, a dense tensor
// [N C H W].
func ToNCHW[T any](dst, src []T, l Layout, n0, n1 int) {
	for n := n0; n < n1; n++ {
		for c := range l.C {
			plane := dst[(n*l.C+c)*l.H*l.W:][:l.H*l.W]
			for h := range l.H {
				s := src[l.Row(n, h)+c:]
				for w := range plane[h*l.W : (h+1)*l.W] {
					plane[h*l.W+w] = s[w*l.SW]
				}
			}
		}
	}
}
