package datasets

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// An idx is the content of an IDX file of unsigned bytes: a magic number (two
// zero bytes, the element type, the number of dimensions), one big-endian
// uint32 per dimension, and the elements in row-major order.
type idx struct {
	dims []int
	data []uint8
}

// idxUint8 is the element type of unsigned bytes, the only one that is read.
const idxUint8 = 0x08

// maxIDXDims is far above what image files have.
const maxIDXDims = 8

// parseIDX reads an IDX file, packed with gzip or not. It allocates no more
// than the file justifies, whatever its header says.
func parseIDX(file string, data []byte) (*idx, error) {
	r, limit, err := unpack(file, data)
	if err != nil {
		return nil, err
	}
	var magic [4]byte
	if err := readField(file, "magic number", r, magic[:]); err != nil {
		return nil, err
	}
	if magic[0] != 0 || magic[1] != 0 {
		return nil, malformed(file, "magic number", fmt.Sprintf("%#x", magic), "two zero bytes first: not an IDX file")
	}
	if magic[2] != idxUint8 {
		return nil, &FormatError{
			File: file, Field: "element type", Got: fmt.Sprintf("%#02x", magic[2]), Want: "0x08, unsigned bytes", Kind: ErrUnsupported,
		}
	}
	if magic[3] < 1 || magic[3] > maxIDXDims {
		return nil, malformed(file, "number of dimensions", fmt.Sprint(magic[3]), "1…%d", maxIDXDims)
	}
	x := &idx{dims: make([]int, magic[3])}
	for i := range x.dims {
		field := fmt.Sprintf("dimension %d", i)
		var extent [4]byte
		if err := readField(file, field, r, extent[:]); err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(extent[:])
		if n > math.MaxInt32 {
			return nil, malformed(file, field, fmt.Sprint(n), "at most %d", math.MaxInt32)
		}
		x.dims[i] = int(n)
	}
	count, ok := product(x.dims...)
	if !ok || int64(count) > limit {
		return nil, malformed(file, "data", fmt.Sprintf("at most %d bytes", limit),
			"a byte for each element of dimensions %d: the file is damaged or cut short", x.dims)
	}
	x.data = make([]uint8, count)
	if err := readField(file, "data", r, x.data); err != nil {
		return nil, err
	}
	var extra [1]byte
	switch n, err := io.ReadFull(r, extra[:]); {
	case n > 0:
		return nil, malformed(file, "end of file", "more bytes", "%d bytes of data for dimensions %d", count, x.dims)
	case err != io.EOF: // the checksum of a packed file
		return nil, fmt.Errorf("datasets: %s: %w: %w", file, err, ErrFormat)
	}
	return x, nil
}

// readField fills dst or says what is missing.
func readField(file, field string, r io.Reader, dst []byte) error {
	n, err := io.ReadFull(r, dst)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return malformed(file, field, fmt.Sprintf("%d bytes, then the end of the file", n), "%d bytes", len(dst))
	}
	return fmt.Errorf("datasets: %s: %s: %w: %w", file, field, err, ErrFormat)
}

// maxInflation bounds how many bytes one byte of gzip data can become: DEFLATE
// spends at least one bit on 258 equal bytes' length and one on their distance.
const maxInflation = 1032

// unpack returns a reader of the content of a file and the most bytes that it
// can hold. Files that start like gzip are unpacked, whatever their name.
func unpack(file string, data []byte) (r io.Reader, limit int64, err error) {
	if !packed(data) {
		return bytes.NewReader(data), int64(len(data)), nil
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, 0, fmt.Errorf("datasets: %s: %w: %w", file, err, ErrFormat)
	}
	return z, int64(len(data)) * maxInflation, nil
}

// packed reports whether data starts like a gzip file.
func packed(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }

// readIDX reads and parses a file.
func readIDX(path string) (*idx, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("datasets: %w", err)
	}
	return parseIDX(path, data)
}

// FromIDX returns a data set of two IDX files, images [N H W] and labels [N],
// each of unsigned bytes and packed with gzip or not: the format of MNIST and
// of the many sets made in its likeness. C, H and W of info are taken from the
// file. Errors match [ErrFormat], [ErrUnsupported], [ErrShape] or [ErrLabel].
func FromIDX(info Info, images, labels string) (Dataset, error) {
	x, err := readIDX(images)
	if err != nil {
		return nil, err
	}
	if len(x.dims) != 3 || x.dims[1] < 1 || x.dims[2] < 1 {
		return nil, malformed(images, "dimensions", fmt.Sprint(x.dims), "[N H W]")
	}
	y, err := readIDX(labels)
	if err != nil {
		return nil, err
	}
	if len(y.dims) != 1 || y.dims[0] != x.dims[0] {
		return nil, malformed(labels, "dimensions", fmt.Sprint(y.dims), "[%d], one label for each image of %s", x.dims[0], images)
	}
	info.Float, info.C, info.H, info.W = false, 1, x.dims[1], x.dims[2]
	wide := make([]int32, len(y.data))
	for i, label := range y.data {
		wide[i] = int32(label)
	}
	info, err = describe(labels, info, len(x.data), wide)
	if err != nil {
		return nil, err
	}
	// With one channel [N C H W] and [N H W C] are the same.
	return &memory{info: info, pixels: x.data, labels: wide}, nil
}
