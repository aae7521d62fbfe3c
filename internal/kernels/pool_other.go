//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("max window", cpu.Portable, func() {}) }

func maxWindow(d []float32, idx []uint8, x []float32, channels int, w window) {
	maxWindowPortable(d, idx, x, channels, w)
}

func maxWindowCodes(d, idx, x []uint8, channels int, w window, flip uint8) {
	maxWindowCodesPortable(d, idx, x, channels, w, flip)
}

func maxWindowBackward(dx, dy []float32, idx []uint8, channels int, w window) {
	maxWindowBackwardPortable(dx, dy, idx, channels, w)
}
