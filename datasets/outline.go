package datasets

import (
	"fmt"
	"math"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// Outlines are kept in units of 1/glyphUnits of the glyph's height, with the
// origin in the middle of its bounding box and y pointing down.
const glyphUnits = 4096

// curveSteps is how many straight pieces stand for a curve or for a side of a
// glyph. Straight sides are cut as well so that a distortion can bend them.
const curveSteps = 6

// An outline is the boundary of one glyph as closed polygons. A point lies in
// the glyph where its winding number is not zero.
type outline struct {
	contours [][]point
}

type point struct{ x, y int64 }

// digitOutlines returns the outlines of the ten digits of a TrueType font.
func digitOutlines(ttf []byte) ([10]outline, error) {
	var digits [10]outline
	font, err := sfnt.Parse(ttf)
	if err != nil {
		return digits, fmt.Errorf("datasets: digits: font: %w", err)
	}
	var buffer sfnt.Buffer
	// At as many pixels per em as the font has units, a coordinate is the
	// font's own whole number, times 64.
	ppem := fixed.I(int(font.UnitsPerEm()))
	for d := range digits {
		glyph, err := font.GlyphIndex(&buffer, rune('0'+d))
		if err != nil {
			return digits, fmt.Errorf("datasets: digits: glyph %d: %w", d, err)
		}
		segments, err := font.LoadGlyph(&buffer, glyph, ppem, nil)
		if err != nil {
			return digits, fmt.Errorf("datasets: digits: glyph %d: %w", d, err)
		}
		if digits[d], err = flatten(segments); err != nil {
			return digits, fmt.Errorf("datasets: digits: glyph %d: %w", d, err)
		}
	}
	return digits, nil
}

// flatten turns the lines and curves of a glyph into polygons of normal size.
// Coordinates are whole numbers throughout, so every machine finds the same.
func flatten(segments sfnt.Segments) (outline, error) {
	var contours [][]point
	var pen point
	for _, s := range segments {
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			pen = at(s.Args[0])
			contours = append(contours, nil)
		case sfnt.SegmentOpLineTo:
			end := at(s.Args[0])
			middle := point{(pen.x + end.x) / 2, (pen.y + end.y) / 2}
			pen = appendCurve(contours, pen, middle, end)
		case sfnt.SegmentOpQuadTo:
			pen = appendCurve(contours, pen, at(s.Args[0]), at(s.Args[1]))
		default:
			return outline{}, fmt.Errorf("outline has segment kind %d: TrueType has lines and quadratic curves", s.Op)
		}
	}
	normalize(contours)
	return outline{contours}, nil
}

func at(p fixed.Point26_6) point { return point{int64(p.X), int64(p.Y)} }

// appendCurve adds to the last contour the points of the quadratic curve from
// p, which is there already, over the handle c to q, and returns q.
func appendCurve(contours [][]point, p, c, q point) point {
	last := &contours[len(contours)-1]
	for i := int64(1); i <= curveSteps; i++ {
		const n = curveSteps
		u, v, w := (n-i)*(n-i), 2*i*(n-i), i*i
		*last = append(*last, point{
			x: (u*p.x + v*c.x + w*q.x) / (n * n),
			y: (u*p.y + v*c.y + w*q.y) / (n * n),
		})
	}
	return q
}

// normalize moves the middle of the bounding box to the origin and scales its
// height to glyphUnits.
func normalize(contours [][]point) {
	low := point{math.MaxInt32, math.MaxInt32}
	high := point{math.MinInt32, math.MinInt32}
	for _, contour := range contours {
		for _, p := range contour {
			low = point{min(low.x, p.x), min(low.y, p.y)}
			high = point{max(high.x, p.x), max(high.y, p.y)}
		}
	}
	middle := point{(low.x + high.x) / 2, (low.y + high.y) / 2}
	height := max(high.y-low.y, 1)
	for _, contour := range contours {
		for i, p := range contour {
			contour[i] = point{(p.x - middle.x) * glyphUnits / height, (p.y - middle.y) * glyphUnits / height}
		}
	}
}
