package datasets

// digitSide is the height and the width of a synthetic digit in pixels.
const digitSide = 28

// Bounds of the random choices behind a digit: lengths in pixels, ratios and
// the tangent of half the angle in 1/1024, grey levels in 0…255.
const (
	minHeight, maxHeight   = 13, 20
	maxOffset              = 3   // of the middle of the digit from that of the image
	maxHalfTangent         = 144 // ± 16 degrees
	maxShear               = 256 // x moves by up to a quarter of y
	minStretch, maxStretch = 820, 1230
	maxBend                = glyphUnits / 32
	minGround, maxGround   = 0, 70
	minContrast            = 90
	maxInk                 = 255
	maxSlope               = 16 // of the background, from the middle to an edge
	minNoise, maxNoise     = 4, 20
)

// A drawer draws digits. It holds the working memory of one goroutine.
type drawer struct {
	raster *raster
	random Rand
	points []point
	bend   [bendNodes][bendNodes]point
}

// bendNodes is the number of nodes per side of the distortion's grid.
const bendNodes = 4

func newDrawer() *drawer { return &drawer{raster: newRaster(digitSide, digitSide)} }

// draw paints one image, [digitSide digitSide], of the glyph in one of fonts.
// The picture is a function of the fonts, the label and (seed, index) alone.
func (d *drawer) draw(image []uint8, fonts []font, label int, seed, index uint64) {
	r := &d.random
	r.reseed(streamGlyph, seed, index, 0)
	d.raster.reset()
	d.place(fonts[r.IntN(len(fonts))][label])
	d.raster.fill()
	d.shade(image)
}

// place bends, shears, stretches, rotates, scales and moves the glyph, and
// hands its boundary to the raster.
func (d *drawer) place(glyph outline) {
	r := &d.random
	for i := range d.bend {
		for j := range d.bend[i] {
			d.bend[i][j] = point{int64(r.Between(-maxBend, maxBend)), int64(r.Between(-maxBend, maxBend))}
		}
	}
	const one = 1 << 10
	height := int64(r.Between(minHeight*subpixels, maxHeight*subpixels))
	stretch := int64(r.Between(minStretch, maxStretch))
	shear := int64(r.Between(-maxShear, maxShear))
	// With t = tan(θ/2): cos θ = (1−t²)/(1+t²), sin θ = 2t/(1+t²).
	t := int64(r.Between(-maxHalfTangent, maxHalfTangent))
	cos := (one*one - t*t) * one / (one*one + t*t)
	sin := 2 * t * one * one / (one*one + t*t)
	middle := point{
		x: int64(digitSide*subpixels/2 + r.Between(-maxOffset*subpixels, maxOffset*subpixels)),
		y: int64(digitSide*subpixels/2 + r.Between(-maxOffset*subpixels, maxOffset*subpixels)),
	}
	for _, contour := range glyph.contours {
		d.points = d.points[:0]
		for _, p := range contour {
			p = d.bent(p)
			x, y := p.x*stretch+p.y*shear, p.y*one
			const unit = one * one * glyphUnits
			d.points = append(d.points, point{
				x: middle.x + (x*cos-y*sin)*height/unit,
				y: middle.y + (x*sin+y*cos)*height/unit,
			})
		}
		previous := d.points[len(d.points)-1]
		for _, p := range d.points {
			d.raster.edge(previous, p)
			previous = p
		}
	}
}

// bent moves p by the displacement of the grid's nodes around it, interpolated.
func (d *drawer) bent(p point) point {
	const cell = glyphUnits / (bendNodes - 1)
	locate := func(v int64) (node, fraction int64) {
		v = min(max(v+glyphUnits/2, 0), cell*(bendNodes-1)-1)
		return v / cell, v % cell
	}
	j, fx := locate(p.x)
	i, fy := locate(p.y)
	blend := func(a, b, c, d int64) int64 {
		return ((a*(cell-fx)+b*fx)*(cell-fy) + (c*(cell-fx)+d*fx)*fy) / (cell * cell)
	}
	a, b, c, e := d.bend[i][j], d.bend[i][j+1], d.bend[i+1][j], d.bend[i+1][j+1]
	return point{p.x + blend(a.x, b.x, c.x, e.x), p.y + blend(a.y, b.y, c.y, e.y)}
}

// shade turns coverage into grey: light ink on a dark, sloping, noisy ground.
func (d *drawer) shade(image []uint8) {
	r := &d.random
	ground := r.Between(minGround, maxGround)
	ink := r.Between(ground+minContrast, maxInk)
	slopeX, slopeY := r.Between(-maxSlope, maxSlope), r.Between(-maxSlope, maxSlope)
	sigma := r.Between(minNoise, maxNoise)
	for i, cover := range d.raster.cover {
		x, y := i%digitSide-digitSide/2, i/digitSide-digitSide/2
		v := ground + (slopeX*x+slopeY*y)/(digitSide/2) + (ink-ground)*int(cover)/fullCover
		image[i] = uint8(min(max(v+r.noise(sigma), 0), 255))
	}
}

// noise returns a draw of mean 0 and standard deviation sigma, close to normal:
// the sum of four bytes has a standard deviation of √(4·(256²−1)/12) ≈ 147.8.
func (r *Rand) noise(sigma int) int {
	u := r.Uint64()
	sum := int(u&255) + int(u>>8&255) + int(u>>16&255) + int(u>>24&255)
	return (sum - 510) * sigma / 148
}
