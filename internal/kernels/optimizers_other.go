//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("optimizers", cpu.Portable, func() {}) }

func adam(value, grad, m, v []float32, s *AdamStep) int { return 0 }

func momentum(value, grad, v []float32, decay, mu, rate float32, nesterov bool) int { return 0 }

func sumSquares(lanes *[4]float64, x []float32) int { return sumSquaresPortable(lanes, x) }
