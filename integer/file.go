package integer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/quant"
)

// A model file is a safetensors file. Its metadata say "format": "bitgrad.integer",
// "version": "1", a sha256 of everything, and under "model" a JSON document: the
// nodes with their shapes, grids and attributes. The tensors are named NODE.FIELD:
//
//	weight               codes, see PackCodes; of 8 bits as I8 or U8 in [O I KH KW] or [O I]
//	weight_scale         F32, one per tensor or per output channel
//	bias                 I32, or I64 where one does not fit
//	shift                I32, of the shift rule
//	multiplier           F32, of the float rule
//	mantissa, exponent   I32, of the fixedpoint rule
//	a, b                 F32, the normalization of an input
//	table                codes of a table
//
// The requantizer of operand i of a concat has the prefix "in" + i + "_". No field contains a
// dot, so that two nodes never claim one tensor.
//
// Reading checks all that Build checks, and that what the file says of shapes and grids
// is what follows from the nodes.
const (
	fileFormat  = "bitgrad.integer"
	fileVersion = "1"
)

// modelFile is the JSON document of a model.
type modelFile struct {
	Name   string            `json:"name"`
	Output int               `json:"output"`
	Meta   map[string]string `json:"meta,omitempty"`
	Nodes  []nodeFile        `json:"nodes"`
}

type nodeFile struct {
	Name  string          `json:"name"`
	Op    string          `json:"op"`
	In    []int           `json:"in,omitempty"`
	Shape [3]int          `json:"shape"` // C H W
	Grid  gridFile        `json:"grid"`
	Attrs json.RawMessage `json:"attrs,omitempty"`
}

type gridFile struct {
	Bits       int     `json:"bits"`
	Signed     bool    `json:"signed"`
	Narrow     bool    `json:"narrow,omitempty"`
	MidRise    bool    `json:"mid_rise,omitempty"`
	Reciprocal bool    `json:"reciprocal,omitempty"`
	ZeroPoint  int32   `json:"zero_point,omitempty"`
	Scale      float32 `json:"scale,omitempty"` // of activations; that of weights is a tensor
}

func newGridFile(g quant.Grid) gridFile {
	f := gridFile{Bits: g.BitWidth, Signed: g.Signed, Narrow: g.Narrow, MidRise: g.MidRise, Reciprocal: g.Reciprocal, ZeroPoint: g.ZeroPoint}
	if len(g.Scale) == 1 {
		f.Scale = g.Scale[0]
	}
	return f
}

func (f gridFile) grid(scale ...float32) quant.Grid {
	return quant.Grid{BitWidth: f.Bits, Signed: f.Signed, Narrow: f.Narrow, MidRise: f.MidRise, Reciprocal: f.Reciprocal,
		ZeroPoint: f.ZeroPoint, Scale: scale}
}

// fileWriter collects the tensors of a model.
type fileWriter struct {
	node    string
	tensors []files.Tensor
}

func (w *fileWriter) put(t files.Tensor) {
	t.Name = w.node + "." + t.Name
	w.tensors = append(w.tensors, t)
}

func (w *fileWriter) floats(field string, v []float32) {
	w.put(files.FromFloat32s(field, []int{len(v)}, v))
}

func (w *fileWriter) int32s(field string, v []int32) {
	w.put(files.FromInt32s(field, []int{len(v)}, v))
}

// codes stores codes on g, packed to their width.
func (w *fileWriter) codes(field string, codes []int32, g quant.Grid, shape ...int) {
	data := PackCodes(codes, g.BitWidth)
	t := files.Tensor{Name: field, DType: files.U8, Shape: []int{len(data)}, Data: data}
	if g.BitWidth == 8 {
		t.Shape = shape
		if g.Signed {
			t.DType = files.I8
		}
	}
	w.put(t)
}

// bias stores biases in the narrowest type that holds them all; none for nil.
func (w *fileWriter) bias(v []int64) {
	if v == nil {
		return
	}
	narrow := make([]int32, len(v))
	for i, b := range v {
		if b != int64(int32(b)) {
			w.put(files.FromInt64s("bias", []int{len(v)}, v))
			return
		}
		narrow[i] = int32(b)
	}
	w.int32s("bias", narrow)
}

// requantFile is what the header says of a requantizer; its zero point is that of the grid.
type requantFile struct {
	Rule           quant.Rule `json:"rule"`
	DoubleRounding bool       `json:"double_rounding,omitempty"`
	Lo             int32      `json:"lo"`
	Hi             int32      `json:"hi"`
}

// requant stores the parameters of r in tensors with the given prefix.
func (w *fileWriter) requant(prefix string, r *quant.Requantizer) *requantFile {
	if r == nil {
		return nil
	}
	switch r.Rule {
	case quant.Shift:
		w.int32s(prefix+"shift", r.Shift)
	case quant.Float:
		w.floats(prefix+"multiplier", r.Multiplier)
	case quant.FixedPoint:
		w.int32s(prefix+"mantissa", r.Mantissa)
		w.int32s(prefix+"exponent", r.Exponent)
	}
	return &requantFile{r.Rule, r.DoubleRounding, r.Lo, r.Hi}
}

// Encode writes the model as a safetensors file. Equal models give equal bytes.
func (m *Model) Encode(w io.Writer) error {
	tensors, metadata, err := m.content()
	if err != nil {
		return err
	}
	if metadata, err = files.Seal(metadata, tensors); err != nil {
		return m.encodeError(err)
	}
	if err := files.WriteSafetensors(w, tensors, metadata); err != nil {
		return m.encodeError(err)
	}
	return nil
}

// Save writes the model to a file, under a temporary name first: a file that exists
// already is replaced whole or stays.
func (m *Model) Save(path string) error {
	tensors, metadata, err := m.content()
	if err != nil {
		return err
	}
	if err := files.SaveSafetensors(path, tensors, metadata); err != nil {
		return m.encodeError(err)
	}
	return nil
}

func (m *Model) encodeError(err error) error {
	return fmt.Errorf("integer: model %s: %w", m.Name, err)
}

func (m *Model) content() ([]files.Tensor, map[string]string, error) {
	w := &fileWriter{}
	doc := modelFile{Name: m.Name, Output: m.Output, Meta: m.Meta}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		w.node = n.Name
		attrs, err := json.Marshal(n.Op.encode(w))
		if err != nil {
			return nil, nil, m.encodeError(err)
		}
		doc.Nodes = append(doc.Nodes, nodeFile{
			n.Name, n.Op.Kind(), n.In, [3]int{n.Out.C, n.Out.H, n.Out.W}, newGridFile(n.Grid), attrs,
		})
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, nil, m.encodeError(err)
	}
	return w.tensors, map[string]string{"format": fileFormat, "version": fileVersion, "model": string(text)}, nil
}

// Load reads the model in a file. The file is checked as a whole, by its checksum, and in
// every part, as Build would.
func Load(path string) (*Model, error) {
	f, err := files.LoadSafetensors(path)
	if err != nil {
		return nil, fmt.Errorf("integer: %w", err)
	}
	m, err := decode(f)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return m, nil
}

// Decode reads a model from the bytes of a file. No more memory is taken than a
// multiple of their number.
func Decode(data []byte) (*Model, error) {
	f, err := files.ParseSafetensors(data)
	if err != nil {
		return nil, fmt.Errorf("integer: %w", err)
	}
	return decode(f)
}

// decoders make the ops of a file by kind.
var decoders = map[string]func(*fileReader) (Op, error){
	"input":       decodeInput,
	"input_float": decodeInputFloat,
	"conv":        decodeConv,
	"linear":      decodeLinear,
	"add":         decodeAdd,
	"multiply":    decodeMultiply,
	"max_pool":    decodeMaxPool,
	"avg_pool":    decodeAvgPool,
	"concat":      decodeConcat,
	"pad":         decodePad,
	"slice":       decodeSlice,
	"reshape":     decodeReshape,
	"table":       decodeTable,
	"requantize":  decodeRequantize,
}

func decode(f *files.File) (*Model, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("integer: %w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
	meta := f.Metadata()
	switch {
	case meta["format"] != fileFormat:
		return nil, bad("metadata format is %.40q: must be %q", meta["format"], fileFormat)
	case meta["version"] != fileVersion:
		return nil, bad("metadata version is %.40q: this program reads %q", meta["version"], fileVersion)
	case !f.Sealed():
		return nil, bad("metadata sha256 is missing")
	}
	var doc modelFile
	if err := strictJSON([]byte(meta["model"]), &doc); err != nil {
		return nil, bad("metadata model: %v", err)
	}
	b := NewBuilder(doc.Name)
	for k, v := range doc.Meta {
		b.SetMeta(k, v)
	}
	used := map[string]bool{}
	for _, n := range doc.Nodes {
		if err := b.decode(f, n, used); err != nil {
			return nil, err
		}
	}
	for _, t := range f.Tensors() {
		if !used[t.Name] {
			return nil, bad("tensor %.100q belongs to no node", t.Name)
		}
	}
	m, _, err := b.Build(Ref(doc.Output))
	return m, err
}

// decode adds a node of a file.
func (b *Builder) decode(f *files.File, n nodeFile, used map[string]bool) error {
	fail := func(err error) error { return newNodeError(n.Name, n.Op, err) }
	read := decoders[n.Op]
	if read == nil {
		return fail(refuse(ErrFormat, "unknown op"))
	}
	r := &fileReader{f: f, node: n, used: used, grid: n.Grid.grid(n.Grid.Scale)}
	in := []Ref{}
	for _, i := range n.In {
		if i < 0 || i >= len(b.nodes) {
			return fail(refuse(ErrGraph, "reads node %d of %d", i, len(b.nodes)))
		}
		in = append(in, Ref(i))
		r.in = append(r.in, &b.nodes[i])
	}
	op, err := read(r)
	if err != nil {
		return fail(err)
	}
	got := b.Node(b.apply(n.Name, op, in...))
	if b.err != nil {
		return b.err
	}
	if want := [3]int{got.Out.C, got.Out.H, got.Out.W}; n.Shape != want {
		return fail(refuse(ErrFormat, "shape %v: follows to be %v", n.Shape, want))
	}
	if !got.Grid.Equal(r.grid) {
		return fail(refuse(ErrFormat, "grid %v: follows to be %v", r.grid, got.Grid))
	}
	return nil
}

// strictJSON decodes one JSON document without unknown fields.
func strictJSON(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the document")
	}
	return nil
}

// fileReader reads the parts of one node.
type fileReader struct {
	f    *files.File
	node nodeFile
	grid quant.Grid
	in   []*Node
	used map[string]bool
}

// attrs decodes the attributes of the node.
func (r *fileReader) attrs(into any) error {
	if err := strictJSON(r.node.Attrs, into); err != nil {
		return refuse(ErrFormat, "attrs: %v", err)
	}
	return nil
}

// tensor returns the tensor of a field, and marks it as used.
func (r *fileReader) tensor(field string) (files.Tensor, error) {
	name := r.node.Name + "." + field
	t, err := r.f.Tensor(name)
	if err != nil {
		return t, refuse(ErrFormat, "%s: %v", field, err)
	}
	r.used[name] = true
	return t, nil
}

func readField[E any](r *fileReader, field string, as func(files.Tensor) ([]E, error)) ([]E, error) {
	t, err := r.tensor(field)
	if err != nil {
		return nil, err
	}
	v, err := as(t)
	if err != nil {
		return nil, refuse(ErrFormat, "%s: %v", field, err)
	}
	if len(t.Shape) != 1 {
		return nil, refuse(ErrFormat, "%s: shape %v: must have one axis", field, t.Shape)
	}
	return v, nil
}

func (r *fileReader) floats(field string) ([]float32, error) {
	return readField(r, field, func(t files.Tensor) ([]float32, error) {
		if t.DType != files.F32 {
			return nil, fmt.Errorf("holds %v: must be F32", t.DType)
		}
		return t.Float32s()
	})
}

func (r *fileReader) int32s(field string) ([]int32, error) {
	return readField(r, field, files.Tensor.Int32s)
}

// codes returns codes on g, as many as the product of counts.
func (r *fileReader) codes(field string, g quant.Grid, counts ...int) ([]int32, error) {
	t, err := r.tensor(field)
	if err != nil {
		return nil, err
	}
	want := files.U8
	if g.BitWidth == 8 && g.Signed {
		want = files.I8
	}
	if t.DType != want {
		return nil, refuse(ErrFormat, "%s: holds %v: must be %v", field, t.DType, want)
	}
	n := 1
	for _, c := range counts {
		if c < 0 || c > 0 && n > math.MaxInt32/c {
			return nil, refuse(ErrFormat, "%s: %v codes are too many", field, counts)
		}
		n *= c
	}
	codes, err := UnpackCodes(t.Data, n, g.BitWidth, g.Signed)
	if err != nil {
		return nil, refuse(ErrFormat, "%s: %v", field, err)
	}
	return codes, nil
}

// bias returns the biases, nil if there are none.
func (r *fileReader) bias(has bool) ([]int64, error) {
	if !has {
		return nil, nil
	}
	return readField(r, "bias", func(t files.Tensor) ([]int64, error) {
		if t.DType == files.I64 {
			return t.Int64s()
		}
		narrow, err := t.Int32s()
		wide := make([]int64, len(narrow))
		for i, v := range narrow {
			wide[i] = int64(v)
		}
		return wide, err
	})
}

// requant returns the requantizer that q and the tensors with the given prefix describe.
func (r *fileReader) requant(prefix string, q *requantFile) (*quant.Requantizer, error) {
	if q == nil {
		return nil, nil
	}
	out := &quant.Requantizer{Rule: q.Rule, DoubleRounding: q.DoubleRounding, MidRise: r.grid.MidRise,
		ZeroPoint: r.grid.ZeroPoint, Lo: q.Lo, Hi: q.Hi}
	var err error
	switch q.Rule {
	case quant.Shift:
		out.Shift, err = r.int32s(prefix + "shift")
	case quant.Float:
		out.Multiplier, err = r.floats(prefix + "multiplier")
	case quant.FixedPoint:
		if out.Mantissa, err = r.int32s(prefix + "mantissa"); err == nil {
			out.Exponent, err = r.int32s(prefix + "exponent")
		}
	}
	return out, err
}
