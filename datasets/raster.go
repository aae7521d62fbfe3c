package datasets

// A raster fills polygons with anti-aliasing. Its coordinates count 1/subpixels
// of a pixel and are whole, so that its pictures are the same on every machine.
//
// Each row of pixels is cut into scanlines; along a scanline the covered length
// is exact. Coverage goes from 0 to fullCover.
type raster struct {
	width, height int
	cover         []int32      // [height width]
	lines         [][]crossing // one per scanline
}

const (
	subpixels = 256
	scanlines = 4 // per row of pixels
	fullCover = subpixels * scanlines
)

// A crossing is where the boundary cuts a scanline: downwards (+1) or upwards.
type crossing struct{ x, winding int32 }

func newRaster(width, height int) *raster {
	return &raster{
		width: width, height: height,
		cover: make([]int32, width*height),
		lines: make([][]crossing, height*scanlines),
	}
}

// reset wipes the picture and the boundary.
func (r *raster) reset() {
	clear(r.cover)
	for i := range r.lines {
		r.lines[i] = r.lines[i][:0]
	}
}

// edge adds a straight piece of the boundary. Scanline i runs at height
// (i+½)·subpixels/scanlines; an edge owns the scanlines in [top, bottom).
func (r *raster) edge(a, b point) {
	winding := int32(1)
	if a.y > b.y {
		a, b, winding = b, a, -1
	}
	const step = subpixels / scanlines
	first := max(ceilDiv(a.y-step/2, step), 0)
	last := min(ceilDiv(b.y-step/2, step), int64(len(r.lines)))
	for i := first; i < last; i++ {
		y := i*step + step/2
		x := a.x + (y-a.y)*(b.x-a.x)/(b.y-a.y)
		x = min(max(x, 0), int64(r.width)*subpixels)
		r.lines[i] = append(r.lines[i], crossing{int32(x), winding})
	}
}

// fill turns the boundary into coverage: a point is inside where the windings
// of the crossings left of it do not cancel.
func (r *raster) fill() {
	for i, line := range r.lines {
		sortCrossings(line)
		row := r.cover[i/scanlines*r.width:][:r.width]
		winding := int32(0)
		for j, c := range line {
			if winding != 0 {
				span(row, line[j-1].x, c.x)
			}
			winding += c.winding
		}
	}
}

// span adds to a row of pixels the length of [from, to) that lies in each.
func span(row []int32, from, to int32) {
	for from < to {
		pixel := from / subpixels
		end := min((pixel+1)*subpixels, to)
		row[pixel] += end - from
		from = end
	}
}

// sortCrossings sorts by x. There are a handful, so insertion is the right way.
func sortCrossings(line []crossing) {
	for i := 1; i < len(line); i++ {
		for j := i; j > 0 && line[j].x < line[j-1].x; j-- {
			line[j], line[j-1] = line[j-1], line[j]
		}
	}
}

// ceilDiv returns a/b rounded up; b is positive.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}
