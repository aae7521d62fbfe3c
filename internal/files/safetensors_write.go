package files

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	metadataKey = "__metadata__" // the header's key for the metadata
	maxHeader   = 100_000_000    // bytes of header that the format allows
	headerAlign = 8              // the data begins at a multiple of this
)

// ChecksumKey is the metadata key under which a sealed file carries its
// checksum; see [Seal].
const ChecksumKey = "sha256"

// WriteSafetensors writes a safetensors file to w. metadata may be nil.
//
// Equal tensors and metadata give equal bytes, in whatever order the tensors
// come: the file begins with the metadata, keys ascending, followed by the
// tensors as the format's reference implementation orders them, by element
// type from [U64] down to [BOOL] and then by name. Each tensor is thereby
// aligned to its element size.
//
// A tensor whose Data does not fit its Shape, a name that is empty, taken
// twice or no UTF-8, and metadata that is no UTF-8 are a [*FormatError], and
// nothing is written.
func WriteSafetensors(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	tensors = inFileOrder(tensors)
	header, err := encodeHeader(tensors, metadata)
	if err != nil {
		return err
	}
	if err := writeContent(w, header, tensors); err != nil {
		return fmt.Errorf("files: safetensors: %w", err)
	}
	return nil
}

// SaveSafetensors seals the tensors and writes them to path with
// [WriteAtomic].
func SaveSafetensors(path string, tensors []Tensor, metadata map[string]string) error {
	sealed, err := Seal(metadata, tensors)
	if err != nil {
		return atPath(err, path)
	}
	tensors = inFileOrder(tensors)
	header, err := encodeHeader(tensors, sealed)
	if err != nil {
		return atPath(err, path)
	}
	return WriteAtomic(path, func(w io.Writer) error { return writeContent(w, header, tensors) })
}

// Seal returns a copy of metadata that carries, under [ChecksumKey], the
// checksum of the tensors and of the rest of the metadata: the hexadecimal
// SHA-256 of the bytes that [WriteSafetensors] writes for them without that
// key. Reading verifies it; names, shapes and metadata are covered as much as
// the elements. A checksum that metadata already carries is replaced.
func Seal(metadata map[string]string, tensors []Tensor) (map[string]string, error) {
	sum, err := checksum(metadata, tensors)
	if err != nil {
		return nil, err
	}
	sealed := make(map[string]string, len(metadata)+1)
	maps.Copy(sealed, metadata)
	sealed[ChecksumKey] = sum
	return sealed, nil
}

// checksum returns what Seal puts under ChecksumKey.
func checksum(metadata map[string]string, tensors []Tensor) (string, error) {
	if _, ok := metadata[ChecksumKey]; ok {
		metadata = maps.Clone(metadata)
		delete(metadata, ChecksumKey)
	}
	tensors = inFileOrder(tensors)
	header, err := encodeHeader(tensors, metadata)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	if err := writeContent(hash, header, tensors); err != nil {
		return "", fmt.Errorf("files: safetensors: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func writeContent(w io.Writer, header []byte, tensors []Tensor) error {
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range tensors {
		if _, err := w.Write(t.Data); err != nil {
			return err
		}
	}
	return nil
}

func inFileOrder(tensors []Tensor) []Tensor {
	return slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int {
		if a.DType != b.DType {
			return int(b.DType) - int(a.DType)
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// encodeHeader returns all that precedes the data: the length of the JSON
// text, little endian, and the text, padded with spaces. tensors are in file
// order.
func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	b := make([]byte, 8, 256)
	b = append(b, '{')
	if len(metadata) > 0 {
		b = appendString(b, metadataKey)
		b = append(b, ':', '{')
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			if !utf8.ValidString(key) || !utf8.ValidString(metadata[key]) {
				return nil, &FormatError{Field: "metadata", Reason: quoteShort(key) + ": is not UTF-8"}
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, key)
			b = append(b, ':')
			b = appendString(b, metadata[key])
		}
		b = append(b, '}')
	}
	names := make(map[string]bool, len(tensors))
	offset := int64(0)
	for _, t := range tensors {
		if err := checkTensor(t, names); err != nil {
			return nil, err
		}
		if len(b) > 9 {
			b = append(b, ',')
		}
		b = appendString(b, t.Name)
		b = append(b, `:{"dtype":"`...)
		b = append(b, t.DType.String()...)
		b = append(b, `","shape":[`...)
		for i, d := range t.Shape {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(b, `],"data_offsets":[`...)
		b = strconv.AppendInt(b, offset, 10)
		offset += int64(len(t.Data))
		b = append(b, ',')
		b = strconv.AppendInt(b, offset, 10)
		b = append(b, ']', '}')
	}
	b = append(b, '}')
	for len(b)%headerAlign != 0 {
		b = append(b, ' ')
	}
	if n := len(b) - 8; n > maxHeader {
		return nil, &FormatError{Field: "header", Reason: fmt.Sprintf("of %d bytes: the format allows %d", n, maxHeader)}
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

// checkTensor finds what is wrong with a tensor that is to be written, and
// adds its name to names.
func checkTensor(t Tensor, names map[string]bool) error {
	if err := checkName(t.Name, names); err != nil {
		return err
	}
	if !utf8.ValidString(t.Name) {
		return &FormatError{Tensor: t.Name, Field: "name", Reason: "is not UTF-8"}
	}
	if t.DType.Size() == 0 {
		return &FormatError{Tensor: t.Name, Field: "dtype", Reason: t.DType.String() + ": is none"}
	}
	need, ok := byteLen(t.DType, t.Shape)
	if !ok {
		return &FormatError{Tensor: t.Name, Field: "shape", Reason: fmt.Sprintf("%v: is out of range", t.Shape)}
	}
	if need != int64(len(t.Data)) {
		return &FormatError{Tensor: t.Name, Field: "data",
			Reason: fmt.Sprintf("of %d bytes: shape %v of %v needs %d", len(t.Data), t.Shape, t.DType, need)}
	}
	return nil
}

func checkName(name string, names map[string]bool) error {
	switch {
	case name == "":
		return &FormatError{Field: "header", Reason: "has a tensor without a name"}
	case name == metadataKey:
		return &FormatError{Tensor: name, Field: "name", Reason: "is reserved"}
	case names[name]:
		return &FormatError{Tensor: name, Field: "name", Reason: "is taken twice"}
	}
	names[name] = true
	return nil
}

// appendString appends s as a JSON string, escaping no more than JSON asks
// for, as the reference implementation does.
func appendString(b []byte, s string) []byte {
	const escapes = "btnvfr" // for 0x08 to 0x0d; JSON has no \v
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x08 && c <= 0x0d && c != '\v':
			b = append(b, '\\', escapes[c-0x08])
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// atPath gives the errors of this package that arose before the file was
// known the name of that file.
func atPath(err error, path string) error {
	switch e := err.(type) {
	case *FormatError:
		e.Path = path
	case *ChecksumError:
		e.Path = path
	}
	return err
}
