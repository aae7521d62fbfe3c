package kernels

// ChannelSums adds Σ x to sum[c] over the pixels of images n0..n1-1 of x, in float64 and in the
// order of n, h, w.
func ChannelSums(sum []float64, x []float32, l Layout, n0, n1 int) {
	if sum = sum[:l.C]; l.H == 0 || l.W == 0 || l.C == 0 {
		return
	}
	for n := n0; n < n1; n++ {
		image := x[l.Row(n, 0):l.At(n, l.H-1, l.W-1, l.C)]
		channelSums(sum, image, l.H, l.W, l.SH, l.SW)
	}
}

// channelSumsPortable adds rows of pixels to sum; rows and pixels are rowStep and step elements apart.
func channelSumsPortable(sum []float64, x []float32, rows, pixels, rowStep, step int) {
	for h := range rows {
		for w := range pixels {
			for c, v := range x[h*rowStep+w*step:][:len(sum)] {
				sum[c] += float64(v)
			}
		}
	}
}
