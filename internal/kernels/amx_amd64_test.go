//go:build amd64 && !purego

package kernels

import "testing"

// Steps are tiles, and what is read behind a segment lies within the slack.
func TestTileSteps(t *testing.T) {
	for run := 1; run <= 5000; run++ {
		steps, depth := tileSteps(run)
		if depth%4 != 0 || depth > 64 || steps*depth < run || steps*depth-run >= Slack || (steps-1)*64 >= run {
			t.Errorf("%d codes: %d steps of %d", run, steps, depth)
		}
	}
}

// Tiles that a block does not have must have neither rows nor columns.
func TestTileShapes(t *testing.T) {
	for _, c := range []struct {
		rows, columns, depth, tiles int
		wantRows, wantBytes         [8]int
	}{
		{32, 32, 64, 3, [8]int{16, 16, 16, 16, 16, 16, 16, 16}, [8]int{64, 64, 64, 64, 64, 64, 64, 64}},
		{1, 1, 4, 0, [8]int{1, 0, 0, 0, 1, 0, 1, 0}, [8]int{4, 0, 0, 0, 4, 0, 4, 0}},
		{17, 16, 48, 2, [8]int{16, 0, 1, 0, 16, 1, 12, 0}, [8]int{64, 0, 64, 0, 48, 48, 64, 0}},
		{16, 20, 20, 1, [8]int{16, 16, 0, 0, 16, 0, 5, 5}, [8]int{64, 16, 0, 0, 20, 0, 64, 16}},
	} {
		var p tileProduct
		p.shape(9, 30, 8)
		p.shape(c.rows, c.columns, c.depth)
		if p.tiles != c.tiles || p.config.palette != 1 || p.config.startRow != 0 {
			t.Errorf("%d×%d: tiles %d, palette %d, first row %d", c.rows, c.columns, p.tiles, p.config.palette, p.config.startRow)
		}
		for i := range p.config.rows {
			rows, bytes := 0, 0
			if i < len(c.wantRows) {
				rows, bytes = c.wantRows[i], c.wantBytes[i]
			}
			if int(p.config.rows[i]) != rows || int(p.config.bytes[i]) != bytes {
				t.Errorf("%d×%d, depth %d: tile %d has %d rows of %d bytes, want %d of %d", c.rows, c.columns, c.depth, i, p.config.rows[i], p.config.bytes[i], rows, bytes)
			}
		}
	}
}
