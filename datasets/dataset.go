package datasets

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// A Dataset is a fixed number of labelled images, all of one size.
//
// Read must be safe for concurrent use with different batches, must return the
// same sample for the same index every time, and should not allocate once dst
// has its size: [Batch.Resize] sees to that.
type Dataset interface {
	// Info describes the samples. Its slices are shared: read only.
	Info() Info
	// Read fills dst with the samples of these indices, in this order. An
	// index outside [0, Info().N) is an error that matches [ErrIndex]; what dst
	// then holds is undefined.
	Read(dst *Batch, indices []int) error
}

// Info says what a data set holds.
type Info struct {
	// Name is for messages; for the constructors "" means "custom".
	Name string
	// N is the number of samples; the constructors of this package set it.
	N int
	// C, H, W are the channels, height and width of every sample.
	C, H, W int
	// Classes is the number of classes; labels are 0…Classes−1. For the
	// constructors 0 means one more than the highest label.
	Classes int
	// ClassNames has one name per class, or is nil.
	ClassNames []string
	// Float says that samples are float32 and not uint8.
	Float bool
	// Mean and Std, one per channel, are how a network normalizes its input:
	// (x − Mean[c])/Std[c], in the units of the samples (0…255 for pixels).
	// Std is positive. For the constructors nil means 0 and 255 for pixels, 0
	// and 1 for floats.
	Mean, Std []float32
}

// Size returns the number of values in one sample, C·H·W.
func (i Info) Size() int { return i.C * i.H * i.W }

// Input returns the normalization as one multiplication and one addition per
// channel, x·a[c] + b[c], with a = 1/Std and b = −Mean/Std rounded once each
// from float64.
func (i Info) Input() (a, b []float32) {
	a, b = make([]float32, i.C), make([]float32, i.C)
	for c := range a {
		mean, std := i.normalization(c)
		a[c] = float32(1 / std)
		b[c] = float32(-mean / std)
	}
	return a, b
}

func (i Info) normalization(c int) (mean, std float64) {
	if c < len(i.Mean) && c < len(i.Std) {
		return float64(i.Mean[c]), float64(i.Std[c])
	}
	if i.Float {
		return 0, 1
	}
	return 0, 255
}

// complete checks an Info given by a caller and fills in what it left open.
func (i Info) complete(source string) (Info, error) {
	for _, size := range []struct {
		name  string
		value int
	}{{"C", i.C}, {"H", i.H}, {"W", i.W}} {
		if size.value < 1 {
			return i, fmt.Errorf("datasets: %s: %s = %d: want at least 1: %w", source, size.name, size.value, ErrShape)
		}
	}
	if _, ok := product(i.C, i.H, i.W); !ok {
		return i, fmt.Errorf("datasets: %s: %d·%d·%d values per sample are too many: %w", source, i.C, i.H, i.W, ErrShape)
	}
	if i.Name == "" {
		i.Name = "custom"
	}
	if i.ClassNames != nil && i.Classes != 0 && len(i.ClassNames) != i.Classes {
		return i, fmt.Errorf("datasets: %s: %d class names for %d classes: %w", source, len(i.ClassNames), i.Classes, ErrShape)
	}
	if i.Classes == 0 {
		i.Classes = len(i.ClassNames)
	}
	if i.Mean == nil && i.Std == nil {
		i.Mean, i.Std = make([]float32, i.C), make([]float32, i.C)
		for c := range i.Std {
			_, std := Info{Float: i.Float}.normalization(c)
			i.Std[c] = float32(std)
		}
	}
	return i, i.checkNormalization(source)
}

func (i Info) checkNormalization(source string) error {
	if len(i.Mean) != i.C || len(i.Std) != i.C {
		return fmt.Errorf("datasets: %s: %d means and %d standard deviations for %d channels: %w",
			source, len(i.Mean), len(i.Std), i.C, ErrShape)
	}
	for c, std := range i.Std {
		if !finite(i.Mean[c]) || !finite(std) || std <= 0 {
			return fmt.Errorf("datasets: %s: channel %d: mean %v, standard deviation %v: want finite, the latter positive: %w",
				source, c, i.Mean[c], std, ErrOption)
		}
	}
	return nil
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }

// product multiplies sizes that are not negative; it reports false where the
// result is no int on a 32-bit machine.
func product(sizes ...int) (int, bool) {
	p := int64(1)
	for _, s := range sizes {
		if s == 0 {
			return 0, true
		}
		if s < 0 || int64(s) > math.MaxInt32/p {
			return 0, false
		}
		p *= int64(s)
	}
	return int(p), true
}

// A Batch holds samples. It is meant to be reused: reading into it allocates
// only when it has to grow.
type Batch struct {
	// N is the number of samples.
	N int
	// H, W, C are the sizes of one sample.
	H, W, C int
	// Pixels is [N H W C]; nil where the samples are floats.
	Pixels []uint8
	// Floats is [N H W C]; nil where the samples are pixels.
	Floats []float32
	// Labels is [N].
	Labels []int32
	// Indices is [N], the numbers of the samples in the data set of the
	// [Loader]; it is empty in a batch that no loader filled.
	Indices []int
	// Step is the number of the batch in its epoch, from 0.
	Step int

	inner []int // a subset's indices in the data set that it is cut from
}

// Resize makes room for n samples of a data set; what they hold is undefined.
// Implementations of [Dataset] call it first.
func (b *Batch) Resize(info Info, n int) {
	b.N, b.H, b.W, b.C = n, info.H, info.W, info.C
	b.Labels = grow(b.Labels, n)
	if info.Float {
		b.Pixels, b.Floats = nil, grow(b.Floats, n*info.Size())
	} else {
		b.Pixels, b.Floats = grow(b.Pixels, n*info.Size()), nil
	}
	b.Indices = b.Indices[:0]
}

// grow returns a slice of length n that reuses the memory of s where it can.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// Dense returns a copy of the images as a tensor [N C H W] of uint8 or float32,
// or nil where the batch is empty.
func (b *Batch) Dense() *tensor.Dense {
	if b.N == 0 {
		return nil
	}
	shape := tensor.WithShape(b.N, b.C, b.H, b.W)
	if b.Floats != nil {
		return tensor.New(shape, tensor.WithBacking(planes(b.Floats, b.N, b.H*b.W, b.C)))
	}
	return tensor.New(shape, tensor.WithBacking(planes(b.Pixels, b.N, b.H*b.W, b.C)))
}

// planes turns [n area c] into a new [n c area].
func planes[T any](src []T, n, area, c int) []T {
	dst := make([]T, n*area*c)
	for i := range n {
		for k := range c {
			for j := range area {
				dst[(i*c+k)*area+j] = src[(i*area+j)*c+k]
			}
		}
	}
	return dst
}

// interleave turns [n c area] into a new [n area c].
func interleave[T any](src []T, n, c, area int) []T { return planes(src, n, c, area) }
