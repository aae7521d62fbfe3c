package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// reference holds the tensors of testdata/reference.py.
func reference() []Tensor {
	return []Tensor{
		FromBools("bool", []int{3}, []bool{true, false, true}),
		FromUint8s("a.u8", []int{5}, []uint8{0, 1, 2, 3, 4}),
		FromInt8s("c.i8", []int{4}, []int8{-128, -1, 0, 127}),
		{Name: "u16", DType: U16, Shape: []int{2}, Data: []byte{1, 0, 255, 255}},
		FromInt16s("i16", []int{2, 1}, []int16{-32768, 2}),
		{Name: "f16", DType: F16, Shape: []int{4}, Data: []byte{0, 0x3c, 0, 0xc1, 0xff, 0x7b, 1, 0}},
		{Name: "bf16", DType: BF16, Shape: []int{3}, Data: []byte{0x80, 0x3f, 0x20, 0xc0, 0, 0x7f}},
		{Name: "u32", DType: U32, Shape: []int{2}, Data: []byte{7, 0, 0, 0, 255, 255, 255, 255}},
		FromInt32s("i32", []int{2}, []int32{math.MinInt32, math.MaxInt32}),
		FromFloat32s("f32", []int{1, 3}, []float32{1.5, float32(math.Copysign(0, -1)), 0x1p-149}),
		FromFloat32s("scalar", []int{}, []float32{2}),
		FromFloat32s("empty", []int{0, 4}, nil),
		FromUint64s("u64", []int{1}, []uint64{math.MaxUint64}),
		FromInt64s("i64", []int{1}, []int64{math.MinInt64}),
		FromFloat64s("f64", []int{1}, []float64{1.0 / 3}),
		FromUint8s("é\u2028 <&> \"\\ \b\t\n\f\r\v\x01\x7f", []int{1}, []uint8{9}),
	}
}

// small returns the bytes of a sealed file of two tensors.
func small(t testing.TB) []byte {
	t.Helper()
	tensors := []Tensor{FromFloat32s("w", []int{2, 1}, []float32{1, -1}), FromInt8s("q", []int{3}, []int8{-4, 0, 4})}
	sealed, err := Seal(map[string]string{"scale": "0.25"}, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return encoded(t, tensors, sealed)
}

func encoded(t testing.TB, tensors []Tensor, metadata map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteSafetensors(&b, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// raw returns a file with that header and n bytes of data.
func raw(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func TestSameBytesAsReferenceImplementation(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "reference.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := ParseSafetensors(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range reference() {
		got, err := file.Tensor(tensor.Name)
		if err != nil {
			t.Error(err)
		} else if got.DType != tensor.DType || !slices.Equal(got.Shape, tensor.Shape) || !bytes.Equal(got.Data, tensor.Data) {
			t.Errorf("got %v, want %v", got, tensor)
		}
	}
	if got, want := len(file.Tensors()), len(reference()); got != want {
		t.Errorf("got %d tensors, want %d", got, want)
	}
	if got := encoded(t, reference(), file.Metadata()); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestBytesDoNotDependOnOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	metadata := map[string]string{"a": "1", "b": "2", "c": "3", "Z": "4", "": "5"}
	tensors := reference()
	want := encoded(t, tensors, metadata)
	for range 20 {
		random.Shuffle(len(tensors), func(i, j int) { tensors[i], tensors[j] = tensors[j], tensors[i] })
		if !bytes.Equal(encoded(t, tensors, maps.Clone(metadata)), want) {
			t.Fatal("the order of the tensors changed the bytes")
		}
	}
}

func TestDataAreAligned(t *testing.T) {
	b := encoded(t, reference(), nil)
	file, err := ParseSafetensors(b)
	if err != nil {
		t.Fatal(err)
	}
	offset := 8 + int(binary.LittleEndian.Uint64(b))
	for _, tensor := range file.Tensors() {
		if offset%tensor.DType.Size() != 0 {
			t.Errorf("%s: %v at byte %d", tensor.Name, tensor.DType, offset)
		}
		offset += len(tensor.Data)
	}
}

func TestValuesSurviveFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	metadata := map[string]string{"note": "ünï\x00\n", "empty": ""}
	if err := SaveSafetensors(path, reference(), metadata); err != nil {
		t.Fatal(err)
	}
	file, err := LoadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if !file.Sealed() {
		t.Error("not sealed")
	}
	got := file.Metadata()
	delete(got, ChecksumKey)
	if !maps.Equal(got, metadata) {
		t.Errorf("got metadata %q, want %q", got, metadata)
	}
	check := func(name string, want any, values any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(values, want) {
			t.Errorf("%s: got %v, %v, want %v", name, values, err, want)
		}
	}
	f32, err := file.Float32s("f32")
	check("f32", []float32{1.5, float32(math.Copysign(0, -1)), 0x1p-149}, f32, err)
	if !math.Signbit(float64(f32[1])) {
		t.Error("f32: lost the sign of zero")
	}
	f32, err = file.Float32s("f16")
	check("f16", []float32{1, -2.5, 65504, 0x1p-24}, f32, err)
	f32, err = file.Float32s("bf16")
	check("bf16", []float32{1, -2.5, 0x1p127}, f32, err)
	f32, err = file.Float32s("f64")
	check("f64", []float32{float32(1.0 / 3)}, f32, err)
	f32, err = file.Float32s("empty")
	check("empty", []float32{}, f32, err)
	f64, err := file.Float64s("f64")
	check("f64", []float64{1.0 / 3}, f64, err)
	f64, err = file.Float64s("bf16")
	check("bf16", []float64{1, -2.5, 0x1p127}, f64, err)
	i8, err := file.Int8s("c.i8")
	check("c.i8", []int8{-128, -1, 0, 127}, i8, err)
	u8, err := file.Uint8s("a.u8")
	check("a.u8", []uint8{0, 1, 2, 3, 4}, u8, err)
	i16, err := file.Int16s("i16")
	check("i16", []int16{-32768, 2}, i16, err)
	i32, err := file.Int32s("i32")
	check("i32", []int32{math.MinInt32, math.MaxInt32}, i32, err)
	i64, err := file.Int64s("i64")
	check("i64", []int64{math.MinInt64}, i64, err)
	u64, err := file.Uint64s("u64")
	check("u64", []uint64{math.MaxUint64}, u64, err)
	bools, err := file.Bools("bool")
	check("bool", []bool{true, false, true}, bools, err)
}

func TestWrongQuestions(t *testing.T) {
	file, err := ParseSafetensors(encoded(t, []Tensor{
		FromInt8s("q", []int{1}, []int8{1}),
		{Name: "b", DType: BOOL, Shape: []int{2}, Data: []byte{1, 2}},
	}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if file.Sealed() {
		t.Error("sealed without a checksum")
	}
	tests := []struct {
		name string
		ask  func() error
		is   error
		text string
	}{
		{"absent", func() error { _, err := file.Float32s("w"); return err }, ErrNoTensor, `files: tensor "w": not in the file`},
		{"float of I8", func() error { _, err := file.Float32s("q"); return err }, ErrDType,
			`files: tensor "q": wrong element type: holds I8, not F32, F16, BF16 or F64`},
		{"double of I8", func() error { _, err := file.Float64s("q"); return err }, ErrDType,
			`files: tensor "q": wrong element type: holds I8, not F32, F16, BF16 or F64`},
		{"I32 of I8", func() error { _, err := file.Int32s("q"); return err }, ErrDType,
			`files: tensor "q": wrong element type: holds I8, not I32`},
		{"BOOL of 2", func() error { _, err := file.Bools("b"); return err }, ErrFormat,
			`files: safetensors: tensor "b": data holds 2 at element 1 of BOOL`},
	}
	for _, test := range tests {
		if err := test.ask(); !errors.Is(err, test.is) || err.Error() != test.text {
			t.Errorf("%s: got %v, want %s", test.name, err, test.text)
		}
	}
}

// TestHalfPrecision compares all 65536 values with the definition.
func TestHalfPrecision(t *testing.T) {
	for i := range 1 << 16 {
		bits := uint16(i)
		exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
		var want float64
		switch exponent {
		case 0:
			want = math.Ldexp(fraction, -24)
		case 31:
			want = math.Inf(1)
			if fraction != 0 {
				want = math.NaN()
			}
		default:
			want = math.Ldexp(1024+fraction, exponent-25)
		}
		got := float64(float16(bits))
		if math.IsNaN(want) && math.IsNaN(got) {
			continue
		}
		if bits>>15 == 1 {
			want = -want
		}
		if got != want || math.Signbit(got) != (bits>>15 == 1) {
			t.Fatalf("%#04x: got %v, want %v", bits, got, want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	entry := func(fields string) string { return `{"w":{` + fields + `}}` }
	tests := []struct {
		name string
		file []byte
		want string // * stands for words of encoding/json
	}{
		{"empty", nil, `header is cut off: the file has 0 bytes`},
		{"seven bytes", make([]byte, 7), `header is cut off: the file has 7 bytes`},
		{"no header", raw("", 0), `header does not begin with {`},
		{"header longer than file", binary.LittleEndian.AppendUint64(nil, 1), `header of 1 bytes: the file has 8`},
		{"header of 2^64-1", binary.LittleEndian.AppendUint64(nil, math.MaxUint64), `header of 18446744073709551615 bytes: the file has 8`},
		{"leading space", raw(` {}`, 0), `header does not begin with {`},
		{"array", raw(`[]`, 0), `header does not begin with {`},
		{"not UTF-8", raw("{\"\xff\":{}}", 0), `header is not UTF-8`},
		{"not JSON", raw(`{"w":}`, 0), `header is not JSON: *`},
		{"two objects", raw(`{}{}`, 0), `header is not JSON: *`},
		{"nested too deep", raw(`{"w":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+"}", 0), `header is not JSON: *`},
		{"number for entry", raw(`{"w":1}`, 0), `tensor "w": entry is no object`},
		{"null for entry", raw(`{"w":null}`, 0), `tensor "w": entry is no object`},
		{"no name", raw(`{"":{}}`, 0), `header has a tensor without a name`},
		{"no dtype", raw(entry(`"shape":[],"data_offsets":[0,4]`), 4), `tensor "w": dtype is missing`},
		{"no shape", raw(entry(`"dtype":"F32","data_offsets":[0,4]`), 4), `tensor "w": shape is missing`},
		{"no data_offsets", raw(entry(`"dtype":"F32","shape":[]`), 4), `tensor "w": data_offsets is missing`},
		{"unknown field", raw(entry(`"dtype":"F32","shape":[],"data_offsets":[0,4],"order":"F"`), 4), `tensor "w": field "order": is unknown`},
		{"field twice", raw(entry(`"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]`), 4), `tensor "w": shape is given twice`},
		{"unknown dtype", raw(entry(`"dtype":"F4","shape":[],"data_offsets":[0,4]`), 4), `tensor "w": dtype "F4": is unknown`},
		{"dtype of a number", raw(entry(`"dtype":4,"shape":[],"data_offsets":[0,4]`), 4), `tensor "w": dtype is no string`},
		{"shape of a number", raw(entry(`"dtype":"F32","shape":4,"data_offsets":[0,4]`), 4), `tensor "w": shape is no array`},
		{"shape of strings", raw(entry(`"dtype":"F32","shape":["1"],"data_offsets":[0,4]`), 4), `tensor "w": shape holds "\"1\"": is no integer from 0 to 2^63-1`},
		{"shape of arrays", raw(entry(`"dtype":"F32","shape":[[1]],"data_offsets":[0,4]`), 4), `tensor "w": shape holds "[1]": is no integer from 0 to 2^63-1`},
		{"shape of null", raw(entry(`"dtype":"F32","shape":null,"data_offsets":[0,4]`), 4), `tensor "w": shape is no array`},
		{"negative dimension", raw(entry(`"dtype":"F32","shape":[-1],"data_offsets":[0,4]`), 4), `tensor "w": shape holds "-1": is no integer from 0 to 2^63-1`},
		{"fractional dimension", raw(entry(`"dtype":"F32","shape":[1.0],"data_offsets":[0,4]`), 4), `tensor "w": shape holds "1.0": is no integer from 0 to 2^63-1`},
		{"exponent", raw(entry(`"dtype":"F32","shape":[1e0],"data_offsets":[0,4]`), 4), `tensor "w": shape holds "1e0": is no integer from 0 to 2^63-1`},
		{"2^63", raw(entry(`"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]`), 4), `tensor "w": shape holds "9223372036854775808": is no integer from 0 to 2^63-1`},
		{"shape overflows", raw(entry(`"dtype":"U8","shape":[2147483647,2147483647,4],"data_offsets":[0,4]`), 4), `tensor "w": shape [2147483647 2147483647 4]: is out of range`},
		{"one offset", raw(entry(`"dtype":"F32","shape":[],"data_offsets":[4]`), 4), `tensor "w": data_offsets has length 1, not 2`},
		{"offsets reversed", raw(entry(`"dtype":"F32","shape":[],"data_offsets":[4,0]`), 4), `tensor "w": data_offsets [4 0]: ends before it begins`},
		{"shape and offsets differ", raw(`{"conv1.weight":{"dtype":"F32","shape":[20,1,5,5],"data_offsets":[0,400]}}`, 400),
			`tensor "conv1.weight": data_offsets [0 400]: 400 bytes, shape [20 1 5 5] of F32 needs 2000`},
		{"offsets beyond data", raw(entry(`"dtype":"F32","shape":[],"data_offsets":[0,4]`), 3), `tensor "w": data_offsets [0 4]: the file has 3 bytes of data`},
		{"trailing byte", raw(entry(`"dtype":"F32","shape":[],"data_offsets":[0,4]`), 5), `data of 5 bytes: the tensors take 4`},
		{"data without tensors", raw(`{}`, 1), `data of 1 bytes: the tensors take 0`},
		{"hole at start", raw(entry(`"dtype":"F32","shape":[],"data_offsets":[4,8]`), 8), `tensor "w": data_offsets [4 8]: leaves the bytes from 0 to 4 to no tensor`},
		{"hole", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3),
			`tensor "b": data_offsets [2 3]: leaves the bytes from 1 to 2 to no tensor`},
		{"overlap", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3),
			`tensor "b": data_offsets [1 3]: overlaps the tensor that ends at 2`},
		{"same bytes twice", raw(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2),
			`tensor "b": data_offsets [0 2]: overlaps the tensor that ends at 2`},
		{"name twice", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2),
			`tensor "a": name is taken twice`},
		{"name twice, escaped", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2),
			`tensor "a": name is taken twice`},
		{"metadata twice", raw(`{"__metadata__":{},"__metadata__":{}}`, 0), `metadata is given twice`},
		{"metadata key twice", raw(`{"__metadata__":{"a":"1","a":"2"}}`, 0), `metadata "a": is given twice`},
		{"metadata of numbers", raw(`{"__metadata__":{"a":1}}`, 0), `metadata "a": is no string`},
		{"metadata of null", raw(`{"__metadata__":null}`, 0), `metadata is no object`},
	}
	for _, test := range tests {
		_, err := ParseSafetensors(test.file)
		want, open := strings.CutSuffix("files: safetensors: "+test.want, "*")
		if !errors.Is(err, ErrFormat) || err.Error() != want && !(open && strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s:\ngot  %v\nwant files: safetensors: %s", test.name, err, test.want)
		}
	}
}

func TestReadAccepts(t *testing.T) {
	tests := []struct {
		name string
		file []byte
	}{
		{"nothing", raw(`{}`, 0)},
		{"padding", raw("{}      ", 0)},
		{"metadata last", raw(`{"w":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"},"__metadata__":{"a":"b"}}`, 1)},
		{"empty tensors between", raw(`{"c":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"b":{"dtype":"F64","shape":[3,0],"data_offsets":[1,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2)},
		{"unaligned", raw(`{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"b":{"dtype":"F64","shape":[],"data_offsets":[1,9]}}`, 9)},
	}
	for _, test := range tests {
		if _, err := ParseSafetensors(test.file); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	one := func(t Tensor) []Tensor { return []Tensor{t} }
	tests := []struct {
		name     string
		tensors  []Tensor
		metadata map[string]string
		want     string
	}{
		{"too short", one(FromFloat32s("w", []int{2, 3}, make([]float32, 5))), nil, `tensor "w": data of 20 bytes: shape [2 3] of F32 needs 24`},
		{"negative", one(FromFloat32s("w", []int{-1}, nil)), nil, `tensor "w": shape [-1]: is out of range`},
		{"overflow", one(FromFloat32s("w", []int{math.MaxInt32, math.MaxInt32, 4}, nil)), nil, `tensor "w": shape [2147483647 2147483647 4]: is out of range`},
		{"no type", one(Tensor{Name: "w"}), nil, `tensor "w": dtype DType(0): is none`},
		{"unknown type", one(Tensor{Name: "w", DType: 200}), nil, `tensor "w": dtype DType(200): is none`},
		{"no name", one(FromInt8s("", nil, []int8{1})), nil, `header has a tensor without a name`},
		{"reserved name", one(FromInt8s("__metadata__", nil, []int8{1})), nil, `tensor "__metadata__": name is reserved`},
		{"name twice", []Tensor{FromInt8s("w", nil, []int8{1}), FromInt16s("w", nil, []int16{1})}, nil, `tensor "w": name is taken twice`},
		{"name no UTF-8", one(FromInt8s("w\xff", nil, []int8{1})), nil, `tensor "w\xff": name is not UTF-8`},
		{"key no UTF-8", nil, map[string]string{"k\xff": ""}, `metadata "k\xff": is not UTF-8`},
		{"value no UTF-8", nil, map[string]string{"k": "\xff"}, `metadata "k": is not UTF-8`},
	}
	for _, test := range tests {
		var b bytes.Buffer
		err := WriteSafetensors(&b, test.tensors, test.metadata)
		if !errors.Is(err, ErrFormat) || err.Error() != "files: safetensors: "+test.want {
			t.Errorf("%s:\ngot  %v\nwant files: safetensors: %s", test.name, err, test.want)
		}
		if b.Len() != 0 {
			t.Errorf("%s: %d bytes were written", test.name, b.Len())
		}
		path := filepath.Join(t.TempDir(), "m.safetensors")
		err = SaveSafetensors(path, test.tensors, test.metadata)
		if !errors.Is(err, ErrFormat) || err.Error() != "files: "+path+": safetensors: "+test.want {
			t.Errorf("%s: save: got %v", test.name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was written", test.name)
		}
	}
	err := WriteSafetensors(LimitSpace(20)(io.Discard), reference(), nil)
	if !errors.Is(err, ErrNoSpace) || err.Error() != "files: safetensors: no space left" {
		t.Errorf("full disk: got %v", err)
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	b := small(t)
	for n := range len(b) {
		if _, err := ParseSafetensors(b[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("cut to %d of %d bytes: got %v", n, len(b), err)
		}
		// The size of a file may also be stale.
		if _, err := ReadSafetensors(bytes.NewReader(b[:n]), int64(len(b))); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			t.Errorf("became %d of %d bytes: got %v", n, len(b), err)
		}
	}
	if _, err := ParseSafetensors(append(b, 0)); !errors.Is(err, ErrFormat) {
		t.Errorf("one byte more: got %v", err)
	}
}

// TestAlteredAnywhere flips each bit of a sealed file. Each flip must be an
// error, save where it damages the very name of the checksum: then the file
// must not count as sealed.
func TestAlteredAnywhere(t *testing.T) {
	b := small(t)
	if file, err := ParseSafetensors(b); err != nil || !file.Sealed() {
		t.Fatalf("before: %v", err)
	}
	mismatches, unsealed := 0, 0
	for i := range b {
		for bit := range 8 {
			altered := slices.Clone(b)
			altered[i] ^= 1 << bit
			file, err := ParseSafetensors(altered)
			switch {
			case errors.Is(err, ErrChecksum):
				mismatches++
			case err != nil && !errors.Is(err, ErrFormat):
				t.Errorf("byte %d, bit %d: got %v", i, bit, err)
			case err == nil && file.Sealed():
				t.Errorf("byte %d, bit %d: not noticed", i, bit)
			case err == nil:
				unsealed++
			}
		}
	}
	key := len(ChecksumKey) * 8
	if unsealed == 0 || unsealed > key || mismatches < 11*8 {
		t.Errorf("%d flips made the checksum vanish (its name has %d bits), %d failed it (the data have %d)", unsealed, key, mismatches, 11*8)
	}
}

func TestChecksumNamesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	b := small(t)
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := LoadSafetensors(path)
	want := "files: " + path + ": data does not match its sha256: the file was altered or damaged"
	if !errors.Is(err, ErrChecksum) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := os.WriteFile(path, b[:len(b)-1], 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = LoadSafetensors(path)
	want = "files: " + path + `: safetensors: tensor "q": data_offsets [8 11]: the file has 10 bytes of data`
	if !errors.Is(err, ErrFormat) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestSealReplacesSeal(t *testing.T) {
	first, err := Seal(map[string]string{"a": "b"}, reference())
	if err != nil {
		t.Fatal(err)
	}
	second, err := Seal(first, reference())
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(first, second) || len(first[ChecksumKey]) != 64 {
		t.Errorf("got %v, then %v", first, second)
	}
	first[ChecksumKey] = strings.Repeat("0", 64)
	if _, err := ParseSafetensors(encoded(t, reference(), first)); !errors.Is(err, ErrChecksum) {
		t.Errorf("wrong checksum: got %v", err)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadSafetensors(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: got %v", err)
	}
	if _, err := LoadSafetensors(dir); err == nil || err.Error() != "files: read "+dir+": it is no regular file" {
		t.Errorf("directory: got %v", err)
	}
}

func TestLongNamesAreCutInMessages(t *testing.T) {
	name := strings.Repeat("n", 1<<20)
	_, err := ParseSafetensors(raw(`{"`+name+`":{"dtype":"`+name+`"}}`, 0))
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("the message has %d bytes", len(fmt.Sprint(err)))
	}
	_, err = ParseSafetensors(raw(`{"w":{"dtype":"U8","shape":[`+strings.Repeat("1,", 1<<16)+`1],"data_offsets":[0,2]}}`, 2))
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("the message has %d bytes", len(fmt.Sprint(err)))
	}
}
