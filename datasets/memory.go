package datasets

import (
	"errors"
	"fmt"

	"gorgonia.org/tensor"
)

// memory is a data set held in memory. It never changes.
type memory struct {
	info   Info
	pixels []uint8   // [N H W C], or
	floats []float32 // [N H W C]
	labels []int32   // [N]
}

// FromPixels returns a data set of uint8 images [N C H W] with one label each;
// N is the number of labels. It copies both slices.
//
// Set C, H and W in info; the rest may be left open. Errors match [ErrShape],
// [ErrLabel] or [ErrOption].
func FromPixels(info Info, pixels []uint8, labels []int32) (Dataset, error) {
	info.Float = false
	info, err := describe("FromPixels", info, len(pixels), labels)
	if err != nil {
		return nil, err
	}
	return &memory{
		info:   info,
		pixels: interleave(pixels, info.N, info.C, info.H*info.W),
		labels: append([]int32(nil), labels...),
	}, nil
}

// FromFloats returns a data set of float32 samples [N C H W] with one label
// each; N is the number of labels. It copies both slices. The network quantizes
// such samples at its input.
//
// Set C, H and W in info; the rest may be left open. Errors match [ErrShape],
// [ErrLabel], [ErrOption], or [ErrValue] where a sample holds NaN or an
// infinity.
func FromFloats(info Info, samples []float32, labels []int32) (Dataset, error) {
	info.Float = true
	info, err := describe("FromFloats", info, len(samples), labels)
	if err != nil {
		return nil, err
	}
	for i, x := range samples {
		if !finite(x) {
			return nil, &ValueError{
				Source: "FromFloats", Index: i, Value: float64(x),
				Sample: i / info.Size(), Channel: i / (info.H * info.W) % info.C, H: i / info.W % info.H, W: i % info.W,
			}
		}
	}
	return &memory{
		info:   info,
		floats: interleave(samples, info.N, info.C, info.H*info.W),
		labels: append([]int32(nil), labels...),
	}, nil
}

// FromDense returns a data set of a tensor [N C H W] of uint8 or float32 (or
// float64, rounded) and a tensor [N] or [N 1] of integer labels. It copies both;
// views and transposed tensors are read in their logical order.
//
// C, H and W of info are taken from the tensor. Errors are those of [FromPixels]
// and [FromFloats].
func FromDense(info Info, images, labels *tensor.Dense) (Dataset, error) {
	if images == nil || labels == nil {
		return nil, fmt.Errorf("datasets: FromDense: nil tensor: %w", ErrShape)
	}
	shape := images.Shape()
	if shape.Dims() != 4 {
		return nil, fmt.Errorf("datasets: FromDense: images have shape %v: want [N C H W]: %w", shape, ErrShape)
	}
	info.C, info.H, info.W = shape[1], shape[2], shape[3]
	if l := labels.Shape(); l.Dims() < 1 || l.Dims() > 2 || l.Dims() == 2 && l[1] != 1 {
		return nil, fmt.Errorf("datasets: FromDense: labels have shape %v: want [%d]: %w", l, shape[0], ErrShape)
	}
	classes, err := labelsOf(labels)
	if err != nil {
		return nil, err
	}
	switch data := images.Data().(type) {
	case []uint8:
		pixels, err := logical[uint8](images, data)
		if err != nil {
			return nil, err
		}
		return FromPixels(info, pixels, classes)
	case []float32:
		samples, err := logical[float32](images, data)
		if err != nil {
			return nil, err
		}
		return FromFloats(info, samples, classes)
	case []float64:
		samples, err := logical[float32](images, data)
		if err != nil {
			return nil, err
		}
		return FromFloats(info, samples, classes)
	default:
		return nil, fmt.Errorf("datasets: FromDense: images of %v: want uint8 or float32: %w", images.Dtype(), ErrShape)
	}
}

// labelsOf returns the elements of an integer tensor as int32.
func labelsOf(t *tensor.Dense) ([]int32, error) {
	var wide []int64
	var err error
	switch data := t.Data().(type) {
	case []uint8:
		wide, err = logical[int64](t, data)
	case []int8:
		wide, err = logical[int64](t, data)
	case []int16:
		wide, err = logical[int64](t, data)
	case []int32:
		wide, err = logical[int64](t, data)
	case []int64:
		wide, err = logical[int64](t, data)
	case []int:
		wide, err = logical[int64](t, data)
	default:
		return nil, fmt.Errorf("datasets: FromDense: labels of %v: want integers: %w", t.Dtype(), ErrLabel)
	}
	if err != nil {
		return nil, err
	}
	labels := make([]int32, len(wide))
	for i, v := range wide {
		labels[i] = int32(v)
		if int64(labels[i]) != v {
			return nil, fmt.Errorf("datasets: FromDense: label %d of sample %d: %w", v, i, ErrLabel)
		}
	}
	return labels, nil
}

type number interface {
	~uint8 | ~int8 | ~int16 | ~int32 | ~int64 | ~int | ~float32 | ~float64
}

// logical returns the elements of a tensor in row-major order of its shape,
// whatever their order in memory, as numbers of type D.
func logical[D, S number](t *tensor.Dense, data []S) ([]D, error) {
	out := make([]D, 0, t.Shape().TotalSize())
	it := t.Iterator()
	for i, err := it.Start(); ; i, err = it.Next() {
		if err != nil {
			if end := tensor.NoOpError(nil); errors.As(err, &end) {
				return out, nil
			}
			return nil, fmt.Errorf("datasets: FromDense: %w", err)
		}
		out = append(out, D(data[i]))
	}
}

// describe checks sizes and labels and completes info.
func describe(source string, info Info, values int, labels []int32) (Info, error) {
	info, err := info.complete(source)
	if err != nil {
		return info, err
	}
	info.N = len(labels)
	if want, ok := product(info.N, info.Size()); !ok || want != values {
		return info, fmt.Errorf("datasets: %s: %d values for %d labels of [%d %d %d]: want %d: %w", source, values,
			info.N, info.C, info.H, info.W, int64(info.N)*int64(info.Size()), ErrShape)
	}
	if info.Classes == 0 {
		info.Classes = 1
		for _, label := range labels {
			info.Classes = max(info.Classes, int(label)+1)
		}
	}
	for i, label := range labels {
		if label < 0 || int(label) >= info.Classes {
			return info, &LabelError{Source: source, Index: i, Label: int64(label), Classes: info.Classes}
		}
	}
	return info, nil
}

// Info describes the samples.
func (m *memory) Info() Info { return m.info }

// Read copies samples to dst.
func (m *memory) Read(dst *Batch, indices []int) error {
	dst.Resize(m.info, len(indices))
	size := m.info.Size()
	for i, index := range indices {
		if index < 0 || index >= m.info.N {
			return indexError(m.info, index)
		}
		if m.info.Float {
			copy(dst.Floats[i*size:][:size], m.floats[index*size:])
		} else {
			copy(dst.Pixels[i*size:][:size], m.pixels[index*size:])
		}
		dst.Labels[i] = m.labels[index]
	}
	return nil
}

func indexError(info Info, index int) error {
	return fmt.Errorf("datasets: %s: sample %d of %d: %w", info.Name, index, info.N, ErrIndex)
}
