package kernels

import "testing"

func TestLookUp(t *testing.T) {
	for channels := 1; channels <= 5; channels++ {
		tables := make([][256]uint8, channels)
		for c := range tables {
			for p := range tables[c] {
				tables[c][p] = uint8(p*(2*c+3) + 7*c)
			}
		}
		for pixels := range 12 {
			n := pixels * channels
			src, dst := make([]uint8, n), make([]uint8, n+2)
			for i := range src {
				src[i] = uint8(255 - 41*i)
			}
			dst[n], dst[n+1] = 99, 98
			LookUp(dst, src, tables)
			for i, p := range src {
				if want := tables[i%channels][p]; dst[i] != want {
					t.Fatalf("%d channels, %d pixels: element %d is %d, want %d", channels, pixels, i, dst[i], want)
				}
			}
			if dst[n] != 99 || dst[n+1] != 98 {
				t.Errorf("%d channels, %d pixels: written beyond the end", channels, pixels)
			}
		}
	}
}
