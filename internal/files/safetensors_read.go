package files

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
)

// A File is a safetensors file that was read. It is safe for concurrent use.
type File struct {
	tensors  []Tensor // in the order of their data
	index    map[string]int
	metadata map[string]string
}

// LoadSafetensors reads the safetensors file at path; see [ReadSafetensors].
func LoadSafetensors(path string) (*File, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("files: read %s: %w", path, cause(err))
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, fmt.Errorf("files: read %s: %w", path, cause(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("files: read %s: it is no regular file", path)
	}
	file, err := ReadSafetensors(r, info.Size())
	return file, atPath(err, path)
}

// ReadSafetensors reads the safetensors file of size bytes behind r.
//
// It accepts what the format allows and nothing else: the header is JSON with
// no field unknown and none given twice; the tensors' data neither overlap
// nor leave a byte unused; each has as many bytes as its shape and element
// type need. What breaks that is a [*FormatError]. A file that carries a
// checksum ([Seal]) and does not match it is a [*ChecksumError]; one without
// is accepted, and [File.Sealed] tells which it was.
//
// No more memory is taken than a small multiple of size, whatever the file
// claims.
func ReadSafetensors(r io.ReaderAt, size int64) (*File, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, &FormatError{Field: "header", Reason: fmt.Sprintf("is cut off: the file has %d bytes", size)}
	}
	if err := readAt(r, prefix[:], 0); err != nil {
		return nil, err
	}
	n, err := headerLength(prefix, size)
	if err != nil {
		return nil, err
	}
	header := make([]byte, n)
	if err := readAt(r, header, 8); err != nil {
		return nil, err
	}
	dataLen := size - 8 - int64(n)
	file, spans, err := parseHeader(header, dataLen)
	if err != nil {
		return nil, err
	}
	if dataLen > math.MaxInt {
		return nil, &FormatError{Field: "data", Reason: fmt.Sprintf("of %d bytes: exceeds the address space", dataLen)}
	}
	data := make([]byte, dataLen)
	if err := readAt(r, data, 8+int64(n)); err != nil {
		return nil, err
	}
	for i, s := range spans {
		file.tensors[i].Data = data[s.begin:s.end:s.end]
	}
	if err := file.verify(); err != nil {
		return nil, err
	}
	return file, nil
}

// ParseSafetensors reads the safetensors file in b as [ReadSafetensors] does.
// It copies the data.
func ParseSafetensors(b []byte) (*File, error) {
	return ReadSafetensors(bytes.NewReader(b), int64(len(b)))
}

// Tensors returns the tensors in the order in which their data lie in the
// file. The caller may modify the slice, not the shapes and the data.
func (f *File) Tensors() []Tensor { return slices.Clone(f.tensors) }

// Tensor returns the tensor of that name. The caller must not modify its
// shape and data.
func (f *File) Tensor(name string) (Tensor, error) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, fmt.Errorf("files: tensor %s: %w", quoteShort(name), ErrNoTensor)
	}
	return f.tensors[i], nil
}

// Metadata returns a copy of the metadata, the checksum included.
func (f *File) Metadata() map[string]string { return maps.Clone(f.metadata) }

// Sealed reports whether the file carried a checksum, which then matched.
func (f *File) Sealed() bool {
	_, ok := f.metadata[ChecksumKey]
	return ok
}

func (f *File) verify() error {
	want, ok := f.metadata[ChecksumKey]
	if !ok {
		return nil
	}
	got, err := checksum(f.metadata, f.tensors)
	if err != nil {
		return err
	}
	if got != want {
		return &ChecksumError{}
	}
	return nil
}

// Float32s returns the elements of the tensor of that name; see
// [Tensor.Float32s].
func (f *File) Float32s(name string) ([]float32, error) { return get(f, name, Tensor.Float32s) }

// Float64s returns the elements of the tensor of that name; see
// [Tensor.Float64s].
func (f *File) Float64s(name string) ([]float64, error) { return get(f, name, Tensor.Float64s) }

// Int8s returns the elements of the I8 tensor of that name.
func (f *File) Int8s(name string) ([]int8, error) { return get(f, name, Tensor.Int8s) }

// Uint8s returns the elements of the U8 tensor of that name.
func (f *File) Uint8s(name string) ([]uint8, error) { return get(f, name, Tensor.Uint8s) }

// Int16s returns the elements of the I16 tensor of that name.
func (f *File) Int16s(name string) ([]int16, error) { return get(f, name, Tensor.Int16s) }

// Int32s returns the elements of the I32 tensor of that name.
func (f *File) Int32s(name string) ([]int32, error) { return get(f, name, Tensor.Int32s) }

// Int64s returns the elements of the I64 tensor of that name.
func (f *File) Int64s(name string) ([]int64, error) { return get(f, name, Tensor.Int64s) }

// Uint64s returns the elements of the U64 tensor of that name.
func (f *File) Uint64s(name string) ([]uint64, error) { return get(f, name, Tensor.Uint64s) }

// Bools returns the elements of the BOOL tensor of that name; see
// [Tensor.Bools].
func (f *File) Bools(name string) ([]bool, error) { return get(f, name, Tensor.Bools) }

func get[E any](f *File, name string, as func(Tensor) ([]E, error)) ([]E, error) {
	t, err := f.Tensor(name)
	if err != nil {
		return nil, err
	}
	return as(t)
}

// readAt fills b from r. A file that became shorter while it was read is
// io.ErrUnexpectedEOF.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	if _, err := io.ReadFull(io.NewSectionReader(r, offset, int64(len(b))), b); err != nil && len(b) > 0 {
		return fmt.Errorf("files: safetensors: read %d bytes at %d: %w", len(b), offset, cause(err))
	}
	return nil
}

func headerLength(prefix [8]byte, size int64) (int, error) {
	n := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case n > uint64(size-8):
		return 0, &FormatError{Field: "header", Reason: fmt.Sprintf("of %d bytes: the file has %d", n, size)}
	case n > maxHeader:
		return 0, &FormatError{Field: "header", Reason: fmt.Sprintf("of %d bytes: the format allows %d", n, maxHeader)}
	}
	return int(n), nil
}
