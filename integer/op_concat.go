package integer

import (
	"slices"
	"strconv"

	"github.com/bitgrad/bitgrad/quant"
)

// Concat joins tensors of the same height and width along C. Codes of operand i go
// through Requant[i], whose accumulator is the level of the code; where that is
// nil the operand is on Grid already and its codes are copied.
type Concat struct {
	Requant []*quant.Requantizer // one per operand; nil if all are on Grid
	Grid    quant.Grid           // of the output
}

// Kind returns "concat".
func (*Concat) Kind() string { return "concat" }

func (p *Concat) infer(in []*Node) (output, error) {
	if p.Requant == nil {
		p.Requant = make([]*quant.Requantizer, len(in))
	}
	if len(in) == 0 || len(p.Requant) != len(in) {
		return output{}, refuse(ErrGraph, "%d operands and %d requantizers", len(in), len(p.Requant))
	}
	if err := checkGrid(p.Grid); err != nil {
		return output{}, err
	}
	out := output{Type: typeOf(p.Grid, 0, in[0].Out.H, in[0].Out.W), Grid: p.Grid}
	for i, x := range in {
		if x.Out.H != out.H || x.Out.W != out.W {
			return out, refuse(ErrShape, "operand %s is [%d %d %d]: %s is %dx%d", x.Name, x.Out.C, x.Out.H, x.Out.W, in[0].Name, out.H, out.W)
		}
		if out.C += x.Out.C; out.C > maxElements {
			return out, refuse(ErrShape, "more than 2^28 channels")
		}
		if err := checkRecode(p.Requant[i], x, p.Grid); err != nil {
			return out, err
		}
	}
	return out, out.Type.validate()
}

// checkRecode accepts r for codes of x that become codes of grid y; a nil r keeps them.
func checkRecode(r *quant.Requantizer, x *Node, y quant.Grid) error {
	if r == nil {
		if !sameCodes(x.Grid, y) {
			return refuse(ErrGrid, "operand %s is on %v, the output on %v: it needs a requantizer", x.Name, x.Grid, y)
		}
		return nil
	}
	if err := checkRequantizer(r, []float64{x.Grid.LevelScale(0)}, 1, y); err != nil {
		return err
	}
	if r.Rule == quant.FixedPoint && x.Out.Bits > 32 {
		return refuse(ErrBound, "operand %s has 64 bits: the fixedpoint rule takes 32", x.Name)
	}
	return nil
}

// sameCodes reports whether a code means the same on both grids.
func sameCodes(x, y quant.Grid) bool {
	x.Reciprocal, y.Reciprocal = false, false
	return x.Equal(y)
}

// recode returns the function that moves a code of x through r.
func recode(r *quant.Requantizer, x *Node) func(q int64) int64 {
	if r == nil {
		return func(q int64) int64 { return q }
	}
	return func(q int64) int64 { return int64(r.Apply(level(x.Grid, q), 0)) }
}

func (p *Concat) interpret(n *Node, in []*Node, x [][]int64) []int64 {
	y := make([]int64, 0, n.Out.Len())
	for i, codes := range x {
		f := recode(p.Requant[i], in[i])
		for _, q := range codes {
			y = append(y, f(q))
		}
	}
	return y
}

func (p *Concat) bind(b *binding, n *Node, in []*Node) step {
	var parts []func(st *state, images int)
	first := 0
	for i, x := range in {
		parts = append(parts, bindMap(b, n.In[i], x.Out, n.Out, first, nil, recode(p.Requant[i], x), p.Requant[i] == nil, x.Grid))
		first += x.Out.C
	}
	return func(st *state, images int) {
		for _, part := range parts {
			part(st, images)
		}
	}
}

// Requantize moves codes, or accumulators, to another grid: their level is the accumulator
// of Requant. It serves an edge whose producer has another grid, codes too wide for a
// [Table], and a ReLU by the clamp range.
type Requantize struct {
	Requant *quant.Requantizer
	Grid    quant.Grid // of the output
}

// Kind returns "requantize".
func (*Requantize) Kind() string { return "requantize" }

func (p *Requantize) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	out := output{Type: typeOf(p.Grid, x.Out.C, x.Out.H, x.Out.W), Grid: p.Grid}
	if p.Requant == nil {
		return out, refuse(ErrGrid, "no requantizer")
	}
	if err := checkGrid(p.Grid); err != nil {
		return out, err
	}
	return out, checkRecode(p.Requant, x, p.Grid)
}

func (p *Requantize) interpret(_ *Node, in []*Node, x [][]int64) []int64 {
	f := recode(p.Requant, in[0])
	y := make([]int64, len(x[0]))
	for i, q := range x[0] {
		y[i] = f(q)
	}
	return y
}

func (p *Requantize) bind(b *binding, n *Node, in []*Node) step {
	return bindMap(b, n.In[0], in[0].Out, n.Out, 0, nil, recode(p.Requant, in[0]), false, in[0].Grid)
}

// Table maps every code to a code: the integer form of any pointwise function of a tensor
// of up to 8 bits. quant.CodeTable makes one from a function of real numbers.
type Table struct {
	// Codes has one table for the tensor or one per channel. Entry q − QMin of the grid of
	// the operand is the code on Grid that code q becomes.
	Codes [][]int32
	Grid  quant.Grid // of the output
}

// Kind returns "table".
func (*Table) Kind() string { return "table" }

func (p *Table) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	out := output{Type: typeOf(p.Grid, x.Out.C, x.Out.H, x.Out.W), Grid: p.Grid}
	if x.Out.Bits > 8 {
		return out, refuse(ErrGrid, "operand %s has %d bits: a table takes at most 8", x.Name, x.Out.Bits)
	}
	if err := checkGrid(p.Grid); err != nil {
		return out, err
	}
	if n := len(p.Codes); n != 1 && n != x.Out.C {
		return out, refuse(ErrShape, "%d tables: must be 1 or one for each of %d channels", n, x.Out.C)
	}
	entries := int(x.Grid.QMax()-x.Grid.QMin()) + 1
	for c, table := range p.Codes {
		if len(table) != entries {
			return out, refuse(ErrShape, "table %d has %d entries: the grid of %s has %d codes", c, len(table), x.Name, entries)
		}
		for i, q := range table {
			if q < p.Grid.QMin() || q > p.Grid.QMax() {
				return out, refuse(ErrGrid, "entry %d of table %d is %d: the grid has %d to %d", i, c, q, p.Grid.QMin(), p.Grid.QMax())
			}
		}
	}
	return out, nil
}

func (p *Table) interpret(n *Node, in []*Node, x [][]int64) []int64 {
	least, plane := int64(in[0].Grid.QMin()), n.Out.H*n.Out.W
	y := make([]int64, len(x[0]))
	for i, q := range x[0] {
		table := p.Codes[0]
		if len(p.Codes) > 1 {
			table = p.Codes[i/plane]
		}
		y[i] = int64(table[q-least])
	}
	return y
}

func (p *Table) bind(b *binding, n *Node, in []*Node) step {
	return bindMap(b, n.In[0], in[0].Out, n.Out, 0, p.Codes, nil, false, in[0].Grid)
}

// bindMap returns the step that maps each code of node source into channels first… of
// the node being bound: by f, by a table per channel, or unchanged. Codes in bytes go through
// tables of bytes.
func bindMap(b *binding, source int, x, y Type, first int, codes [][]int32, f func(q int64) int64, keep bool, g quant.Grid) func(st *state, images int) {
	self := b.self
	if keep {
		return func(st *state, images int) {
			dst, src := st.value(self), st.value(source)
			eachPixel(images, src, func(i, h, w int) {
				dst.copyFrom(dst.place(i, h, w)+first, src, src.place(i, h, w), x.C)
			})
		}
	}
	if !bytesOf(x) {
		return func(st *state, images int) {
			dst, src := st.value(self), st.value(source)
			eachPixel(images, src, func(i, h, w int) {
				to, from := dst.place(i, h, w)+first, src.place(i, h, w)
				for c := range x.C {
					dst.put(to+c, f(src.get(from+c)))
				}
			})
		}
	}
	tables := make([][256]int32, max(len(codes), 1))
	for t := range tables {
		for u := range 256 {
			q := byteCode(u, x)
			switch {
			case !isCode(q, g):
			case codes != nil:
				tables[t][u] = codes[t][q-int64(g.QMin())]
			default:
				tables[t][u] = int32(f(q))
			}
		}
	}
	narrow := bytesOf(y)
	return func(st *state, images int) {
		dst, src := st.value(self), st.value(source)
		eachPixel(images, src, func(i, h, w int) {
			to, from := dst.place(i, h, w)+first, src.place(i, h, w)
			table := &tables[0]
			for c, u := range src.U8[from : from+x.C] {
				if len(tables) > 1 {
					table = &tables[c]
				}
				if v := table[u]; narrow {
					dst.U8[to+c] = uint8(v)
				} else {
					dst.I32[to+c] = v
				}
			}
		})
	}
}

// concatFile is what a header says of a concat: null for an operand that is copied.
type concatFile struct {
	Requant []*requantFile `json:"requant"`
}

func (p *Concat) encode(w *fileWriter) any {
	var f concatFile
	for i, r := range p.Requant {
		f.Requant = append(f.Requant, w.requant(concatPrefix(i), r))
	}
	return f
}

func concatPrefix(i int) string { return "in" + strconv.Itoa(i) + "_" }

func decodeConcat(r *fileReader) (Op, error) {
	var f concatFile
	if err := r.attrs(&f); err != nil {
		return nil, err
	}
	p := &Concat{Grid: r.grid}
	for i, q := range f.Requant {
		part, err := r.requant(concatPrefix(i), q)
		if err != nil {
			return nil, err
		}
		p.Requant = append(p.Requant, part)
	}
	return p, nil
}

func (p *Requantize) encode(w *fileWriter) any { return requantAttrs{w.requant("", p.Requant)} }

func decodeRequantize(r *fileReader) (Op, error) {
	q, err := decodeRequant(r)
	return &Requantize{q, r.grid}, err
}

// tableFile is what a header says of a table.
type tableFile struct {
	Tables int `json:"tables"` // 1, or one per channel
}

func (p *Table) encode(w *fileWriter) any {
	w.codes("table", slices.Concat(p.Codes...), p.Grid, len(p.Codes), len(p.Codes[0]))
	return tableFile{len(p.Codes)}
}

func decodeTable(r *fileReader) (Op, error) {
	var f tableFile
	if err := r.attrs(&f); err != nil {
		return nil, err
	}
	x, err := oneInput(r.in)
	if err != nil {
		return nil, err
	}
	if x.Out.Bits > 8 || f.Tables < 1 {
		return nil, refuse(ErrFormat, "%d tables for codes of %d bits", f.Tables, x.Out.Bits)
	}
	entries := int(x.Grid.QMax()-x.Grid.QMin()) + 1
	codes, err := r.codes("table", r.grid, f.Tables, entries)
	return &Table{slices.Collect(slices.Chunk(codes, entries)), r.grid}, err
}
