package datasets

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

func TestFromPixelsIsChannelsLast(t *testing.T) {
	// [N C H W] = [2 3 1 2]
	pixels := []uint8{1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16}
	ds, err := FromPixels(Info{C: 3, H: 1, W: 2}, pixels, []int32{4, 0})
	if err != nil {
		t.Fatal(err)
	}
	info := ds.Info()
	if info.N != 2 || info.Classes != 5 || info.Name != "custom" || info.Float || info.Size() != 6 {
		t.Errorf("info %+v", info)
	}
	b := read(t, ds, 1, 0, 1)
	want := []uint8{11, 13, 15, 12, 14, 16, 1, 3, 5, 2, 4, 6, 11, 13, 15, 12, 14, 16}
	if !slices.Equal(b.Pixels, want) || !slices.Equal(b.Labels, []int32{0, 4, 0}) {
		t.Errorf("pixels %v labels %v, want %v", b.Pixels, b.Labels, want)
	}
	if b.N != 3 || b.H != 1 || b.W != 2 || b.C != 3 || b.Floats != nil {
		t.Errorf("batch %+v", b)
	}
	pixels[0] = 99
	if got := read(t, ds, 0).Pixels[0]; got != 1 {
		t.Errorf("the data set changed with the caller's slice: %d", got)
	}
	dense := read(t, ds, 0, 1).Dense()
	if got := dense.Data().([]uint8); !slices.Equal(got[6:], pixels[6:]) || !dense.Shape().Eq(tensor.Shape{2, 3, 1, 2}) {
		t.Errorf("Dense = %v of shape %v", got, dense.Shape())
	}
}

func TestFromFloats(t *testing.T) {
	samples := []float32{1, 2, 3, 4, 5, 6, 7, 8}
	ds, err := FromFloats(Info{C: 2, H: 1, W: 2, Mean: []float32{1, 2}, Std: []float32{2, 4}}, samples, []int32{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	b := read(t, ds, 0, 1)
	if want := []float32{1, 3, 2, 4, 5, 7, 6, 8}; !slices.Equal(b.Floats, want) || b.Pixels != nil {
		t.Errorf("floats %v, want %v", b.Floats, want)
	}
	if got := b.Dense().Data().([]float32); !slices.Equal(got, samples) {
		t.Errorf("Dense = %v", got)
	}
	scale, shift := ds.Info().Input()
	if !slices.Equal(scale, []float32{0.5, 0.25}) || !slices.Equal(shift, []float32{-0.5, -0.5}) {
		t.Errorf("input %v %v", scale, shift)
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		samples[6] = bad
		_, err := FromFloats(Info{C: 2, H: 1, W: 2}, samples, []int32{0, 1})
		var value *ValueError
		if !errors.Is(err, ErrValue) || !errors.As(err, &value) {
			t.Fatalf("%v: error %v", bad, err)
		}
		if want := "element 6 (sample 1, channel 1, row 0, column 0) is "; !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %q lacks %q", bad, err, want)
		}
		if value.Index != 6 || value.Sample != 1 || value.Channel != 1 || value.H != 0 || value.W != 0 {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestFromDense(t *testing.T) {
	labels := tensor.New(tensor.WithShape(2), tensor.WithBacking([]int{1, 0}))
	pixels := ramp(2 * 3 * 2 * 2)
	images := tensor.New(tensor.WithShape(2, 3, 2, 2), tensor.WithBacking(slices.Clone(pixels)))
	ds, err := FromDense(Info{Classes: 2}, images, labels)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, ds, 0, 1).Dense().Data().([]uint8); !slices.Equal(got, pixels) {
		t.Errorf("pixels came back as %v", got)
	}

	doubles := tensor.New(tensor.WithShape(2, 1, 1, 2), tensor.WithBacking([]float64{1, 2, 3, 0.1}))
	column := tensor.New(tensor.WithShape(2, 1), tensor.WithBacking([]uint8{1, 0}))
	if ds, err = FromDense(Info{}, doubles, column); err != nil {
		t.Fatal(err)
	}
	if got := read(t, ds, 0, 1).Floats; !slices.Equal(got, []float32{1, 2, 3, 0.1}) {
		t.Errorf("floats %v", got)
	}

	// A lazily transposed tensor is read in the order of its new shape.
	turned := tensor.New(tensor.WithShape(2, 1, 2, 3), tensor.WithBacking([]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}))
	if err := turned.T(0, 1, 3, 2); err != nil {
		t.Fatal(err)
	}
	if ds, err = FromDense(Info{}, turned, labels); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, ds, 0, 1).Pixels, []uint8{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}; !slices.Equal(got, want) {
		t.Errorf("transposed %v, want %v", got, want)
	}

	// So is a slice of a tensor.
	view, err := images.Slice(nil, tensor.S(1, 3))
	if err != nil {
		t.Fatal(err)
	}
	if ds, err = FromDense(Info{}, view.(*tensor.Dense), labels); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, ds, 0, 1).Dense().Data().([]uint8), append(slices.Clone(pixels[4:12]), pixels[16:24]...); !slices.Equal(got, want) {
		t.Errorf("slice %v, want %v", got, want)
	}
}

func TestFromDenseErrors(t *testing.T) {
	images := tensor.New(tensor.WithShape(2, 1, 1, 1), tensor.WithBacking([]uint8{1, 2}))
	labels := tensor.New(tensor.WithShape(2), tensor.WithBacking([]int64{0, 1}))
	for name, c := range map[string]struct {
		images, labels *tensor.Dense
		want           error
	}{
		"nil":         {nil, labels, ErrShape},
		"no labels":   {images, nil, ErrShape},
		"rank":        {labels, labels, ErrShape},
		"count":       {images, tensor.New(tensor.WithShape(3), tensor.WithBacking([]int{0, 1, 2})), ErrShape},
		"label rank":  {images, tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]int{0, 1, 2, 3})), ErrShape},
		"float label": {images, tensor.New(tensor.WithShape(2), tensor.WithBacking([]float32{0, 1})), ErrLabel},
		"wide label":  {images, tensor.New(tensor.WithShape(2), tensor.WithBacking([]int64{0, 1 << 32})), ErrLabel},
		"int images":  {tensor.New(tensor.WithShape(2, 1, 1, 1), tensor.WithBacking([]int{1, 2})), labels, ErrShape},
	} {
		if _, err := FromDense(Info{}, c.images, c.labels); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
}

func TestConstructorErrors(t *testing.T) {
	good := Info{C: 1, H: 1, W: 2, Classes: 2}
	for name, c := range map[string]struct {
		edit   func(*Info)
		pixels int
		labels []int32
		want   error
		text   string
	}{
		"no channels":   {func(i *Info) { i.C = 0 }, 4, []int32{0, 1}, ErrShape, "C = 0"},
		"negative":      {func(i *Info) { i.W = -2 }, 4, []int32{0, 1}, ErrShape, "W = -2"},
		"overflow":      {func(i *Info) { i.C, i.H, i.W = 1<<20, 1<<20, 1<<20 }, 4, []int32{0}, ErrShape, "too many"},
		"pixels":        {func(*Info) {}, 5, []int32{0, 1}, ErrShape, "5 values for 2 labels of [1 1 2]: want 4"},
		"label":         {func(*Info) {}, 4, []int32{0, 2}, ErrLabel, "label 2 of sample 1: want 0…1"},
		"negativelabel": {func(i *Info) { i.Classes = 0 }, 4, []int32{-1, 2}, ErrLabel, "label -1 of sample 0: want 0…2"},
		"huge label":    {func(i *Info) { i.Classes = 5 }, 4, []int32{0, math.MaxInt32}, ErrLabel, "sample 1"},
		"names":         {func(i *Info) { i.ClassNames = []string{"a"} }, 4, []int32{0, 1}, ErrShape, "1 class names for 2"},
		"means":         {func(i *Info) { i.Mean = []float32{1} }, 4, []int32{0, 1}, ErrShape, "1 means and 0"},
		"std":           {func(i *Info) { i.Mean, i.Std = []float32{1}, []float32{0} }, 4, []int32{0, 1}, ErrOption, "channel 0"},
	} {
		info := good
		c.edit(&info)
		_, err := FromPixels(info, make([]uint8, c.pixels), c.labels)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.HasPrefix(err.Error(), "datasets: ") {
			t.Errorf("%s: error %v, want one of kind %q with %q", name, err, c.want, c.text)
		}
	}
	ds := counted(t, 3)
	for _, index := range []int{-1, 3} {
		if err := ds.Read(new(Batch), []int{0, index}); !errors.Is(err, ErrIndex) {
			t.Errorf("index %d: error %v", index, err)
		}
	}
}

func TestSubset(t *testing.T) {
	for name, ds := range map[string]Dataset{"memory": counted(t, 10), "foreign": foreign{counted(t, 10)}} {
		part, err := Subset(ds, 2, 9)
		if err != nil {
			t.Fatal(err)
		}
		part, err = Subset(part, 1, 5) // samples 3…6
		if err != nil {
			t.Fatal(err)
		}
		if n := part.Info().N; n != 4 {
			t.Errorf("%s: N = %d, want 4", name, n)
		}
		b := read(t, part, 3, 0)
		if b.Pixels[0] != 60 || b.Pixels[6] != 30 || b.Labels[0] != 0 || b.Labels[1] != 0 {
			t.Errorf("%s: pixels %v labels %v", name, b.Pixels, b.Labels)
		}
		for _, index := range []int{-1, 4} {
			if err := part.Read(b, []int{index}); !errors.Is(err, ErrIndex) {
				t.Errorf("%s: index %d: error %v", name, index, err)
			}
		}
		for _, cut := range [][2]int{{-1, 2}, {2, 1}, {0, 5}} {
			if _, err := Subset(part, cut[0], cut[1]); !errors.Is(err, ErrIndex) {
				t.Errorf("%s: cut %v: error %v", name, cut, err)
			}
		}
		normal, err := WithNormalization(part, []float32{7}, []float32{2})
		if err != nil {
			t.Fatal(err)
		}
		if i := normal.Info(); i.Mean[0] != 7 || i.Std[0] != 2 || read(t, normal, 0).Pixels[0] != 30 {
			t.Errorf("%s: normalization %+v", name, i)
		}
		if part.Info().Mean[0] != 0 || part.Info().Std[0] != 255 {
			t.Errorf("%s: the original changed: %+v", name, part.Info())
		}
		if _, err := WithNormalization(part, []float32{0, 0}, []float32{1, 1}); !errors.Is(err, ErrShape) {
			t.Errorf("%s: two channels: error %v", name, err)
		}
	}
}

func TestMoments(t *testing.T) {
	// Channel 0 is 1, 3, 5, 7: mean 4, variance 5. Channel 1 never changes.
	ds, err := FromFloats(Info{C: 2, H: 1, W: 2}, []float32{1, 3, 9, 9, 5, 7, 9, 9}, []int32{0, 0})
	if err != nil {
		t.Fatal(err)
	}
	mean, std, err := Moments(ds)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(mean, []float32{4, 9}) || !slices.Equal(std, []float32{float32(math.Sqrt(5)), 1}) {
		t.Errorf("moments %v %v", mean, std)
	}
	none, err := Subset(ds, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Moments(none); !errors.Is(err, ErrShape) {
		t.Errorf("no samples: error %v", err)
	}
}

func TestBatchReusesMemory(t *testing.T) {
	ds := counted(t, 10)
	b := read(t, ds, all(8)...)
	first, indices := &b.Pixels[0], []int{1, 2, 3}
	allocs := testing.AllocsPerRun(20, func() {
		if err := ds.Read(b, indices); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 || &b.Pixels[0] != first || b.N != 3 || len(b.Labels) != 3 {
		t.Errorf("%v allocations, batch %+v", allocs, b)
	}
	if d := new(Batch).Dense(); d != nil {
		t.Errorf("empty batch as tensor: %v", d)
	}
}
