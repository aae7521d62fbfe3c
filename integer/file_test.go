package integer

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/quant"
)

func encode(t testing.TB, m *Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFileRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := drawModel(rt)
		data := encode(t, m)
		back, err := Decode(data)
		if err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(encode(t, back), data) {
			rt.Fatal("the model that was read encodes to other bytes")
		}
		image := drawImages(rt, m, 1)
		want, err := Interpret(m, image, nil)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := back.Run(image)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range want {
			if got[i] != want[i] {
				rt.Fatalf("output %d: %d, before writing %d", i, got[i], want[i])
			}
		}
	})
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	m := smallModel(t)
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, encode(t, m)) {
		t.Error("Save and Encode write different bytes")
	}
	back, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if back.Meta["by"] != "test" {
		t.Errorf("meta %v", back.Meta)
	}
	if _, err := Load(path + ".missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// Biases beyond 32 bits and wide codes have other element types.
func TestWideFile(t *testing.T) {
	b := NewBuilder("wide")
	x := codesInput(b, 2, 1, 1, unsigned(8, 1, 0))
	m, _, err := b.Build(b.Linear("fc", x, Linear{O: 2, Weight: []int32{-2048, 2047, 1, 0}, WeightGrid: signed(12, 1), Bias: []int64{1 << 40, -5}}))
	if err != nil {
		t.Fatal(err)
	}
	back := must(Decode(encode(t, m)))
	if got := must(back.Run([]uint8{1, 2})); got[0] != 1<<40-2048+2*2047 || got[1] != -4 {
		t.Errorf("got %v", got)
	}
	if err := m.Save(filepath.Join(t.TempDir(), "missing", "model")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that does not exist: %v", err)
	}
}

// A disk that fills up at any byte is an error.
func TestFullDisk(t *testing.T) {
	m := smallModel(t)
	data := encode(t, m)
	for n := range data {
		if err := m.Encode(files.LimitSpace(int64(n))(io.Discard)); !errors.Is(err, files.ErrNoSpace) {
			t.Fatalf("with room for %d of %d bytes: %v", n, len(data), err)
		}
	}
	if err := m.Encode(files.LimitSpace(int64(len(data)))(io.Discard)); err != nil {
		t.Error(err)
	}
}

// Each damaged file must be refused with an error that names what is wrong.
func TestDamagedFiles(t *testing.T) {
	data := encode(t, smallModel(t))
	for n := range data {
		if _, err := Decode(data[:n]); err == nil {
			t.Fatalf("a file cut off after %d of %d bytes was read", n, len(data))
		}
	}
	if _, err := Decode(append(bytes.Clone(data), 0)); err == nil {
		t.Error("a file with a byte too many was read")
	}
	for i := range data {
		altered := bytes.Clone(data)
		altered[i] ^= 0x10
		if _, err := Decode(altered); err == nil {
			t.Fatalf("a file with byte %d of %d altered was read", i, len(data))
		}
	}
}

// TestEditedFiles edits the parts of a file and seals it again, as a faulty writer would.
func TestEditedFiles(t *testing.T) {
	model := func(old, new string) func(map[string]string, []files.Tensor) []files.Tensor {
		return func(meta map[string]string, ts []files.Tensor) []files.Tensor {
			if !strings.Contains(meta["model"], old) {
				t.Fatalf("%s is not in %s", old, meta["model"])
			}
			meta["model"] = strings.Replace(meta["model"], old, new, 1)
			return ts
		}
	}
	tensor := func(name string, edit func(*files.Tensor)) func(map[string]string, []files.Tensor) []files.Tensor {
		return func(_ map[string]string, ts []files.Tensor) []files.Tensor {
			for i := range ts {
				if ts[i].Name == name {
					edit(&ts[i])
					return ts
				}
			}
			t.Fatalf("no tensor %s", name)
			return nil
		}
	}
	for _, c := range []struct {
		name, want string
		edit       func(map[string]string, []files.Tensor) []files.Tensor
	}{
		{"format", "metadata format", func(m map[string]string, ts []files.Tensor) []files.Tensor { delete(m, "format"); return ts }},
		{"version", "metadata version", func(m map[string]string, ts []files.Tensor) []files.Tensor { m["version"] = "7"; return ts }},
		{"no json", "metadata model", func(m map[string]string, ts []files.Tensor) []files.Tensor { m["model"] = "{"; return ts }},
		{"two documents", "text after the document", func(m map[string]string, ts []files.Tensor) []files.Tensor { m["model"] += "{}"; return ts }},
		{"unknown field", "unknown field", model(`"output":`, `"out":`)},
		{"unknown op", "conv (cnov): unknown op", model(`"op":"conv"`, `"op":"cnov"`)},
		{"output", "output is node 99", model(`"output":3`, `"output":99`)},
		{"forward reference", "conv (conv): reads node 1", model(`"in":[0]`, `"in":[1]`)},
		{"shape", "follows to be", model(`"shape":[2,3,3]`, `"shape":[2,3,4]`)},
		{"huge", "conv (conv): weight: [", model(`"shape":[2,3,3]`, `"shape":[2000000000,3,3]`)},
		{"grid", "conv (conv)", model(`"scale":0.25`, `"scale":0.26`)},
		{"bits", "codes of 44 bits", model(`"weight_grid":{"bits":4`, `"weight_grid":{"bits":44`)},
		{"groups", "groups 0", model(`"groups":1`, `"groups":0`)},
		{"rule", "rule", model(`"rule":"shift"`, `"rule":"shft"`)},
		{"clamp", "clamp 99 to 15", model(`"lo":0`, `"lo":99`)},
		{"duplicate name", "used twice", model(`"name":"flat"`, `"name":"conv"`)},
		{"extra tensor", `tensor "extra" belongs to no node`, func(_ map[string]string, ts []files.Tensor) []files.Tensor {
			return append(ts, files.FromInt32s("extra", []int{1}, []int32{1}))
		}},
		{"missing tensor", "weight_scale", func(_ map[string]string, ts []files.Tensor) []files.Tensor {
			for i := range ts {
				if ts[i].Name == "conv.weight_scale" {
					return append(ts[:i:i], ts[i+1:]...)
				}
			}
			return nil
		}},
		{"short weights", "conv (conv): weight: 8 bytes", tensor("conv.weight", func(x *files.Tensor) { x.Data, x.Shape = x.Data[:8], []int{8} })},
		{"padding bits", "", tensor("fc.weight", func(x *files.Tensor) { x.Data[len(x.Data)-1] |= 0x80 })},
		{"short bias", "biases for 2 channels", tensor("conv.bias", func(x *files.Tensor) { x.Data, x.Shape = x.Data[:4], []int{1} })},
		{"float bias", "bias: ", tensor("conv.bias", func(x *files.Tensor) { x.DType = files.F32 })},
		{"bias shape", "one axis", tensor("conv.bias", func(x *files.Tensor) { x.Shape = []int{1, 2} })},
		{"shift", "requantizer", tensor("conv.shift", func(x *files.Tensor) { x.Data[0] = 200 })},
		{"wrong shift", "the grids say", tensor("conv.shift", func(x *files.Tensor) { x.Data[0]++ })},
		{"unsealed", "sha256", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := files.ParseSafetensors(encode(t, smallModel(t)))
			if err != nil {
				t.Fatal(err)
			}
			meta, tensors := f.Metadata(), f.Tensors()
			delete(meta, files.ChecksumKey)
			if c.edit != nil {
				tensors = c.edit(meta, tensors)
				if meta, err = files.Seal(meta, tensors); err != nil {
					t.Fatal(err)
				}
			}
			var b bytes.Buffer
			if err := files.WriteSafetensors(&b, tensors, meta); err != nil {
				t.Fatal(err)
			}
			_, err = Decode(b.Bytes())
			if err == nil {
				t.Fatal("the file was read")
			}
			if !strings.HasPrefix(err.Error(), "integer: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to contain %q", err, c.want)
			}
		})
	}
}

func TestPackCodes(t *testing.T) {
	for _, c := range []struct {
		bits  int
		codes []int32
		want  []byte
	}{
		{1, []int32{1, 0, 1, 1, 0, 0, 0, 0, 1}, []byte{0b1101, 1}},
		{2, []int32{1, -1, -2, 0, 1}, []byte{0b00_10_11_01, 1}},
		{3, []int32{1, 2, 3}, []byte{0b11_010_001, 0}},
		{4, []int32{1, -1, 3}, []byte{0xf1, 0x03}},
		{5, []int32{31, 1}, []byte{0b001_11111, 0}},
		{8, []int32{-128, 127}, []byte{0x80, 0x7f}},
		{12, []int32{0x123, 0x456}, []byte{0x23, 0x61, 0x45}},
		{16, []int32{-2}, []byte{0xfe, 0xff}},
	} {
		if got := PackCodes(c.codes, c.bits); !bytes.Equal(got, c.want) {
			t.Errorf("%d bits: PackCodes(%v) = %x, want %x", c.bits, c.codes, got, c.want)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for bits := 1; bits <= 16; bits++ {
		for _, signed := range []bool{false, true} {
			g := quant.Grid{BitWidth: bits, Signed: signed}
			for n := range 40 {
				codes := make([]int32, n)
				for i := range codes {
					codes[i] = g.QMin() + rng.Int32N(g.QMax()-g.QMin()+1)
				}
				got, err := UnpackCodes(PackCodes(codes, bits), n, bits, signed)
				if err != nil {
					t.Fatal(err)
				}
				for i := range codes {
					if got[i] != codes[i] {
						t.Fatalf("%v: code %d of %d: got %d, want %d", g, i, n, got[i], codes[i])
					}
				}
			}
		}
	}
	for name, err := range map[string]error{
		"width":   second(UnpackCodes(nil, 0, 17, false)),
		"length":  second(UnpackCodes([]byte{1, 2}, 1, 4, false)),
		"padding": second(UnpackCodes([]byte{0x10}, 1, 4, false)),
		"count":   second(UnpackCodes(nil, -1, 4, false)),
	} {
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if PackCodes([]int32{1}, 0) != nil || PackCodes([]int32{1}, 17) != nil {
		t.Error("PackCodes accepts a width that it does not know")
	}
}

func second[A any](_ A, err error) error { return err }

// FuzzDecode seals what the fuzzer makes, so that it gets past the checksum.
func FuzzDecode(f *testing.F) {
	m := smallModel(f)
	file, err := files.ParseSafetensors(encode(f, m))
	if err != nil {
		f.Fatal(err)
	}
	meta := file.Metadata()
	f.Add(meta["model"], []byte{}, 0)
	for i := range file.Tensors() {
		f.Add(meta["model"], []byte{1, 2, 3, 4}, i)
	}
	for _, s := range corpus {
		f.Add(s, []byte{}, 0)
	}
	f.Fuzz(func(t *testing.T, model string, data []byte, which int) {
		tensors := file.Tensors()
		if which >= 0 && which < len(tensors) && len(data) > 0 {
			old := tensors[which].Data
			edited := bytes.Clone(old)
			copy(edited, data)
			tensors[which].Data = edited
		}
		sealed, err := files.Seal(map[string]string{"format": fileFormat, "version": fileVersion, "model": model}, tensors)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := files.WriteSafetensors(&b, tensors, sealed); err != nil {
			return
		}
		m, err := Decode(b.Bytes())
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := m.Encode(&again); err != nil {
			t.Fatalf("a model that was read is not written: %v", err)
		}
		for _, n := range m.Nodes {
			if n.Out.Len() > 1000 {
				return
			}
		}
		if _, pixels := m.Input().Op.(*Input); pixels {
			if err := compare(m, make([]uint8, m.Input().Out.Len()), 1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestReadingIsBounded reads documents that claim large tensors: memory must follow the
// size of the file.
func TestReadingIsBounded(t *testing.T) {
	for i, doc := range corpus {
		sealed := must(files.Seal(map[string]string{"format": fileFormat, "version": fileVersion, "model": doc}, nil))
		var b bytes.Buffer
		if err := files.WriteSafetensors(&b, nil, sealed); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(b.Bytes())
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("document %d was accepted", i)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("document %d, %d bytes: %d bytes allocated", i, b.Len(), used)
		}
	}
}

// corpus holds documents that each claim something a reader must not believe.
var corpus = []string{
	`{"name":"x","output":0,"nodes":[]}`,
	`{"name":"x","output":0,"nodes":[{"name":"i","op":"input","shape":[268435456,1,1],"grid":{"bits":8,"signed":true,"scale":1},"attrs":{"rounding":"half-even"}}]}`,
	`{"name":"x","output":0,"nodes":[{"name":"i","op":"input","shape":[1,16384,16384],"grid":{"bits":8,"signed":true,"scale":1},"attrs":{"rounding":"half-even"}}]}`,
	`{"name":"x","output":0,"nodes":[{"name":"i","op":"reshape","shape":[1,1,1],"grid":{"bits":-5,"signed":true,"scale":1},"attrs":{}}]}`,
}
