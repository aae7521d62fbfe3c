package datasets

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// counted returns n images [1 2 3] whose pixels tell sample and position:
// pixel j of sample i is 10·i + j, with label i mod 3.
func counted(t testing.TB, n int) Dataset {
	t.Helper()
	pixels, labels := make([]uint8, n*6), make([]int32, n)
	for i := range n {
		labels[i] = int32(i % 3)
		for j := range 6 {
			pixels[i*6+j] = uint8(10*i + j)
		}
	}
	ds, err := FromPixels(Info{Name: "counted", C: 1, H: 2, W: 3, Classes: 3}, pixels, labels)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// foreign is a data set from outside the package: Subset cannot look inside.
type foreign struct{ Dataset }

func ramp(n int) []uint8 {
	p := make([]uint8, n)
	for i := range p {
		p[i] = uint8(i)
	}
	return p
}

// encodeIDX is the writer that parseIDX is held against.
func encodeIDX(dims []int, data []uint8) []byte {
	out := []byte{0, 0, idxUint8, byte(len(dims))}
	for _, d := range dims {
		out = binary.BigEndian.AppendUint32(out, uint32(d))
	}
	return append(out, data...)
}

// encodeCIFAR writes n records; pixel p of channel c of record i is i+p+100·c.
func encodeCIFAR(n int) []byte {
	var out []byte
	for i := range n {
		out = append(out, byte(i%10))
		for c := range 3 {
			for p := range cifarArea {
				out = append(out, byte(i+p+100*c))
			}
		}
	}
	return out
}

func pack(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t testing.TB, data []byte, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func read(t testing.TB, ds Dataset, indices ...int) *Batch {
	t.Helper()
	var b Batch
	if err := ds.Read(&b, indices); err != nil {
		t.Fatal(err)
	}
	return &b
}

func all(n int) []int {
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	return indices
}
