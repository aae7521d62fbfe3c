package datasets

import (
	"fmt"
	"math"
	"slices"
)

// Subset returns the samples [from, to) of a data set, renumbered from 0. It
// copies nothing. The error matches [ErrIndex].
func Subset(ds Dataset, from, to int) (Dataset, error) {
	info := ds.Info()
	if from < 0 || to < from || to > info.N {
		return nil, fmt.Errorf("datasets: subset of %s: [%d, %d) of %d samples: %w", info.Name, from, to, info.N, ErrIndex)
	}
	info.N = to - from
	switch ds := ds.(type) {
	case *memory:
		cut := &memory{info: info, labels: ds.labels[from:to]}
		if size := info.Size(); info.Float {
			cut.floats = ds.floats[from*size : to*size]
		} else {
			cut.pixels = ds.pixels[from*size : to*size]
		}
		return cut, nil
	case *subset:
		return &subset{ds: ds.ds, info: info, from: ds.from + from}, nil
	}
	return &subset{ds: ds, info: info, from: from}, nil
}

// subset is a run of samples of a data set that somebody else implements.
type subset struct {
	ds   Dataset // not itself a subset
	info Info
	from int
}

// Info describes the samples.
func (s *subset) Info() Info { return s.info }

// Read reads the samples from the data set behind the subset.
func (s *subset) Read(dst *Batch, indices []int) error {
	dst.inner = grow(dst.inner, len(indices))
	for i, index := range indices {
		if index < 0 || index >= s.info.N {
			return indexError(s.info, index)
		}
		dst.inner[i] = s.from + index
	}
	return s.ds.Read(dst, dst.inner)
}

// WithNormalization returns the same data set with another mean and standard
// deviation per channel in its [Info]; the samples stay what they are. The
// error matches [ErrShape] or [ErrOption].
func WithNormalization(ds Dataset, mean, std []float32) (Dataset, error) {
	info := ds.Info()
	info.Mean, info.Std = slices.Clone(mean), slices.Clone(std)
	if err := info.checkNormalization(info.Name); err != nil {
		return nil, err
	}
	switch ds := ds.(type) {
	case *memory:
		m := *ds
		m.info = info
		return &m, nil
	case *subset:
		return &subset{ds: ds.ds, info: info, from: ds.from}, nil
	}
	return &subset{ds: ds, info: info}, nil
}

// Moments returns the mean and the standard deviation (of the population) of
// every channel over all samples, summed in float64 in the order of the samples.
// A channel that never changes has standard deviation 1 here, so that one can
// divide by it. The error matches [ErrShape] where there is no sample.
func Moments(ds Dataset) (mean, std []float32, err error) {
	info := ds.Info()
	if info.N == 0 {
		return nil, nil, fmt.Errorf("datasets: %s: moments of no samples: %w", info.Name, ErrShape)
	}
	count := float64(info.N) * float64(info.H*info.W)
	sums := make([]float64, info.C)
	err = eachValue(ds, info, func(c int, x float64) { sums[c] += x })
	if err != nil {
		return nil, nil, err
	}
	squares := make([]float64, info.C)
	err = eachValue(ds, info, func(c int, x float64) {
		d := x - sums[c]/count
		squares[c] += float64(d * d)
	})
	if err != nil {
		return nil, nil, err
	}
	mean, std = make([]float32, info.C), make([]float32, info.C)
	for c := range mean {
		mean[c], std[c] = float32(sums[c]/count), float32(math.Sqrt(squares[c]/count))
		if std[c] == 0 {
			std[c] = 1
		}
	}
	return mean, std, nil
}

// eachValue calls visit for every value of every sample.
func eachValue(ds Dataset, info Info, visit func(channel int, x float64)) error {
	const chunk = 256
	var batch Batch
	indices := make([]int, 0, chunk)
	for first := 0; first < info.N; first += chunk {
		indices = indices[:0]
		for i := first; i < min(first+chunk, info.N); i++ {
			indices = append(indices, i)
		}
		if err := ds.Read(&batch, indices); err != nil {
			return fmt.Errorf("datasets: %s: %w", info.Name, err)
		}
		for i, p := range batch.Pixels {
			visit(i%info.C, float64(p))
		}
		for i, x := range batch.Floats {
			visit(i%info.C, float64(x))
		}
	}
	return nil
}
