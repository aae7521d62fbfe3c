package files

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A span is where a tensor's data lie, counted from the end of the header.
type span struct{ begin, end int64 }

// parseHeader returns the file that the header describes, still without data,
// and the span of each of its tensors. The spans partition [0, dataLen).
func parseHeader(header []byte, dataLen int64) (*File, []span, error) {
	bad := func(format string, args ...any) (*File, []span, error) {
		return nil, nil, &FormatError{Field: "header", Reason: fmt.Sprintf(format, args...)}
	}
	if len(header) == 0 || header[0] != '{' {
		return bad("does not begin with {")
	}
	if !utf8.Valid(header) {
		return bad("is not UTF-8")
	}
	if err := json.Unmarshal(header, &json.RawMessage{}); err != nil {
		return bad("is not JSON: %v", err)
	}
	h := headerReader{json.NewDecoder(bytes.NewReader(header))}

	type placed struct {
		Tensor
		span
	}
	var found []placed
	file := &File{index: map[string]int{}, metadata: map[string]string{}}
	names := map[string]bool{}
	seenMetadata := false
	err := h.object(func(name string) error {
		if name == metadataKey {
			if seenMetadata {
				return &FormatError{Field: "metadata", Reason: "is given twice"}
			}
			seenMetadata = true
			return h.metadata(file.metadata)
		}
		if err := checkName(name, names); err != nil {
			return err
		}
		t, s, err := h.tensor(name)
		if err == nil {
			err = checkSpan(t, s, dataLen)
		}
		found = append(found, placed{t, s})
		return err
	})
	if err != nil {
		return nil, nil, asFormatError(err, "", "header")
	}

	slices.SortStableFunc(found, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	file.tensors = make([]Tensor, len(found))
	spans := make([]span, len(found))
	at := int64(0)
	for i, p := range found {
		if p.begin != at {
			reason := fmt.Sprintf("%v: overlaps the tensor that ends at %d", p.span, at)
			if p.begin > at {
				reason = fmt.Sprintf("%v: leaves the bytes from %d to %d to no tensor", p.span, at, p.begin)
			}
			return nil, nil, &FormatError{Tensor: p.Name, Field: "data_offsets", Reason: reason}
		}
		at = p.end
		file.tensors[i], spans[i], file.index[p.Name] = p.Tensor, p.span, i
	}
	if at != dataLen {
		return nil, nil, &FormatError{Field: "data", Reason: fmt.Sprintf("of %d bytes: the tensors take %d", dataLen, at)}
	}
	return file, spans, nil
}

func (s span) String() string { return fmt.Sprintf("[%d %d]", s.begin, s.end) }

func checkSpan(t Tensor, s span, dataLen int64) error {
	bad := func(field, format string, args ...any) error {
		return &FormatError{Tensor: t.Name, Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	need, ok := byteLen(t.DType, t.Shape)
	switch {
	case !ok:
		return bad("shape", "%v: is out of range", short(t.Shape))
	case s.begin > s.end:
		return bad("data_offsets", "%v: ends before it begins", s)
	case s.end-s.begin != need:
		return bad("data_offsets", "%v: %d bytes, shape %v of %v needs %d", s, s.end-s.begin, short(t.Shape), t.DType, need)
	case s.end > dataLen:
		return bad("data_offsets", "%v: the file has %d bytes of data", s, dataLen)
	}
	return nil
}

// short cuts a shape for a message. Shapes in a hostile file may be long.
func short(shape []int) string {
	const limit = 16
	if len(shape) > limit {
		return fmt.Sprint(shape[:limit]) + "…"
	}
	return fmt.Sprint(shape)
}

// A headerReader walks a header that is known to be one JSON object, token by
// token: decoding into a map would swallow a name given twice. Its methods say
// what is wrong with a value; their callers say with which.
type headerReader struct{ json *json.Decoder }

// object reads an object and calls member at each of its values.
func (h headerReader) object(member func(key string) error) error {
	if token, err := h.json.Token(); err != nil || token != json.Delim('{') {
		return errors.New("is no object")
	}
	for h.json.More() {
		key, err := h.string()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
	_, err := h.json.Token() // the closing brace
	return err
}

func (h headerReader) string() (string, error) {
	token, err := h.json.Token()
	text, ok := token.(string)
	if err != nil || !ok {
		return "", errors.New("is no string")
	}
	return text, nil
}

// integers reads an array of integers from 0 to 2^63-1, written as digits. It
// splits the text itself: tokens would take a hundred bytes for a digit.
func (h headerReader) integers() ([]int64, error) {
	var text json.RawMessage
	if err := h.json.Decode(&text); err != nil || text[0] != '[' {
		return nil, errors.New("is no array")
	}
	inside := strings.TrimSpace(string(text[1 : len(text)-1]))
	if inside == "" {
		return nil, nil
	}
	numbers := make([]int64, 0, strings.Count(inside, ",")+1)
	for digits := range strings.SplitSeq(inside, ",") {
		digits = strings.TrimSpace(digits)
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("holds %s: is no integer from 0 to 2^63-1", quoteShort(digits))
		}
		numbers = append(numbers, int64(n))
	}
	return numbers, nil
}

func (h headerReader) metadata(into map[string]string) error {
	err := h.object(func(key string) error {
		if _, ok := into[key]; ok {
			return &FormatError{Field: "metadata", Reason: quoteShort(key) + ": is given twice"}
		}
		value, err := h.string()
		if err != nil {
			return &FormatError{Field: "metadata", Reason: quoteShort(key) + ": " + err.Error()}
		}
		into[key] = value
		return nil
	})
	return asFormatError(err, "", "metadata")
}

// tensor reads the entry of one tensor.
func (h headerReader) tensor(name string) (t Tensor, s span, err error) {
	t.Name = name
	given := map[string]bool{}
	err = h.object(func(field string) error {
		if given[field] {
			return &FormatError{Tensor: name, Field: field, Reason: "is given twice"}
		}
		given[field] = true
		var err error
		switch field {
		case "dtype":
			t.DType, err = h.dtype()
		case "shape":
			t.Shape, err = h.shape()
		case "data_offsets":
			s, err = h.span()
		default:
			return &FormatError{Tensor: name, Field: "field", Reason: quoteShort(field) + ": is unknown"}
		}
		return asFormatError(err, name, field)
	})
	if err != nil {
		return t, s, asFormatError(err, name, "entry")
	}
	for _, field := range []string{"dtype", "shape", "data_offsets"} {
		if !given[field] {
			return t, s, &FormatError{Tensor: name, Field: field, Reason: "is missing"}
		}
	}
	return t, s, nil
}

func (h headerReader) dtype() (DType, error) {
	text, err := h.string()
	if err != nil {
		return 0, err
	}
	dtype, ok := parseDType(text)
	if !ok {
		return 0, errors.New(quoteShort(text) + ": is unknown")
	}
	return dtype, nil
}

func (h headerReader) shape() ([]int, error) {
	dims, err := h.integers()
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(dims))
	for i, d := range dims {
		if d > math.MaxInt {
			return nil, fmt.Errorf("holds %d: exceeds the address space", d)
		}
		shape[i] = int(d)
	}
	return shape, nil
}

func (h headerReader) span() (span, error) {
	offsets, err := h.integers()
	if err != nil {
		return span{}, err
	}
	if len(offsets) != 2 {
		return span{}, fmt.Errorf("has length %d, not 2", len(offsets))
	}
	return span{offsets[0], offsets[1]}, nil
}

// asFormatError says of what is no FormatError yet which field it is about.
func asFormatError(err error, tensor, field string) error {
	if err == nil || errors.Is(err, ErrFormat) {
		return err
	}
	return &FormatError{Tensor: tensor, Field: field, Reason: err.Error()}
}
