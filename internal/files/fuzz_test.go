package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// hostile are small files that claim to be large.
func hostile() map[string][]byte {
	many := func(entry string) string { return "{" + strings.Repeat(entry+",", 1000) + entry + "}" }
	return map[string][]byte{
		"header of 2^63":    binary.LittleEndian.AppendUint64(nil, 1<<63),
		"header of 100 MB":  append(binary.LittleEndian.AppendUint64(nil, maxHeader), "{}"...),
		"tensor of 2^62":    raw(`{"w":{"dtype":"U8","shape":[4611686018427387904],"data_offsets":[0,4611686018427387904]}}`, 8),
		"shape overflows":   raw(`{"w":{"dtype":"F64","shape":[4294967295,4294967295,2],"data_offsets":[0,8]}}`, 8),
		"wraps to zero":     raw(`{"w":{"dtype":"F64","shape":[2147483648,2147483648,4],"data_offsets":[0,0]}}`, 0),
		"long shape":        raw(`{"w":{"dtype":"U8","shape":[`+strings.Repeat("1,", 1<<14)+`1],"data_offsets":[0,1]}}`, 1),
		"offsets for shape": raw(`{"w":{"dtype":"U8","shape":[2],"data_offsets":[`+strings.Repeat("0,", 1<<14)+`2]}}`, 2),
		"many entries":      raw(many(`"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`), 0),
		"many metadata":     raw(`{"__metadata__":`+many(`"":""`)+`}`, 0),
		"deep":              raw(`{"w":`+strings.Repeat("[", 1<<15), 0),
	}
}

// TestAllocationIsBounded holds the bytes taken for a file to a small
// multiple of its size, whatever it claims.
func TestAllocationIsBounded(t *testing.T) {
	files := hostile()
	files["honest"] = small(t)
	files["large"] = encoded(t, []Tensor{FromFloat32s("w", []int{1 << 18}, make([]float32, 1<<18))}, nil)
	for name, b := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseSafetensors(b)
		runtime.ReadMemStats(&after)
		if isHostile := name != "honest" && name != "large"; isHostile != (err != nil) && name != "long shape" {
			t.Errorf("%s: got error %v", name, err)
		}
		if took, limit := after.TotalAlloc-before.TotalAlloc, uint64(40*len(b)+32<<10); took > limit {
			t.Errorf("%s: took %d bytes for a file of %d, more than %d", name, took, len(b), limit)
		}
	}
}

func FuzzParseSafetensors(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "reference.safetensors"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add(small(f))
	f.Add(raw("{}      ", 0))
	for _, b := range hostile() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		file, err := ParseSafetensors(b)
		if err != nil {
			if file != nil || !errors.Is(err, ErrFormat) && !errors.Is(err, ErrChecksum) {
				t.Fatalf("got file %v and error %v", file, err)
			}
			return
		}
		total := 0
		for _, tensor := range file.Tensors() {
			if n, ok := byteLen(tensor.DType, tensor.Shape); !ok || n != int64(len(tensor.Data)) {
				t.Fatalf("%q: shape %v of %v has %d bytes", tensor.Name, tensor.Shape, tensor.DType, len(tensor.Data))
			}
			total += len(tensor.Data)
			checkFloats(t, tensor)
		}
		if header := 8 + int(binary.LittleEndian.Uint64(b)); header+total != len(b) {
			t.Fatalf("%d bytes of header and %d of data in a file of %d", header, total, len(b))
		}
		// What was accepted can be written, and means the same.
		again := encoded(t, file.Tensors(), file.Metadata())
		twice, err := ParseSafetensors(again)
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if !bytes.Equal(encoded(t, twice.Tensors(), twice.Metadata()), again) {
			t.Fatal("written again: not stable")
		}
	})
}

// checkFloats asks the tensor for floats, which the floating types have.
func checkFloats(t *testing.T, tensor Tensor) {
	t.Helper()
	values, err := tensor.Float32s()
	isFloat := tensor.DType == F16 || tensor.DType == BF16 || tensor.DType == F32 || tensor.DType == F64
	if isFloat != (err == nil) || isFloat && len(values) != tensor.Len() {
		t.Fatalf("%q of %v: %d values, error %v", tensor.Name, tensor.DType, len(values), err)
	}
}
