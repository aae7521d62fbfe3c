// Command _gen writes the assembly of package kernels:
//
//	go generate ./internal/kernels
//
// It is a module of its own, so that nobody who builds Bitgrad downloads an
// assembler. A kernel is a function that fills an avo context; the entry N of the
// table below becomes ../N_amd64.s.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

var kernels = map[string]func(*build.Context){
	"gemm":             gemm,
	"gemm8":            gemm8,
	"intgemm":          intgemm,
	"intlower":         intlower,
	"intdepthwise":     intdepthwise,
	"intcompact":       intcompact,
	"intweave":         intweave,
	"intwinograd":      intwinograd,
	"elementwise":      elementwise,
	"elementwise_avx2": elementwise8,
	"quantize_avx2":    quantize8,
	"quantize":         quantize,
	"moments":          moments,
	"sums_avx2":        sums8,
	"pool":             pool,
	"depthwise":        depthwise,
	"pack":             transpose,
	"gradient":         gradient,
	"affine":           affine,
	"addcodes":         addCodes,
	"pack_avx2":        transpose8,
	"pool_avx2":        pool8,
	"affine_avx2":      affine8,
	"gradient_avx2":    gradient8,
	"addcodes_avx2":    addCodes8,
	"channelsums":      channelSums,
	"channelsums_avx2": channelSums8,
	"multiplycodes":    multiplyCodes,
	"fixedpoint":       fixedPoint,
	"addbits":          addBits,
	"addbits_avx2":     addBits8,
	"winograd":         winograd,
	"winograd_avx2":    winograd8,
	"amx":              amx,
	"peak":             peak,
	"optimizers_avx2":  optimizers8,
	"sparse_avx2":      sparse8,
	"routes_avx2":      routes8,
	"depthwiserow":     depthwiseRow8,
}

func main() {
	log.SetFlags(0)
	for name, f := range kernels {
		text, err := generate(f)
		if err == nil {
			err = os.WriteFile("../"+name+"_amd64.s", text, 0o644)
		}
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
}

func generate(f func(*build.Context)) ([]byte, error) {
	c := build.NewContext()
	c.ConstraintExpr("amd64,!purego")
	f(c)
	file, err := c.Result()
	if err != nil {
		return nil, err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return nil, err
	}
	config := printer.Config{Argv: []string{"go", "generate", "./internal/kernels"}, Pkg: "kernels"}
	text, err := printer.NewGoAsm(config).Print(file)
	// The types of the package are unknown here; the stubs in Go have them.
	for argument, name := range map[string]string{"t": "tile", "p": "tileProduct", "config": "tileConfig"} {
		text = bytes.ReplaceAll(text, []byte("("+argument+" *byte"), []byte("("+argument+" *"+name))
	}
	return text, err
}

// tileFields are the fields of kernels.tile in order, eight bytes each.
var tileFields = strings.Fields("a b c init aoff boff segments k m rs cs bs ldc mask lanes add ahead pace block lines lineStep line row out weights left times stepA stepB stepC lineA lineB lineC")

// A function under construction, whose only argument is a *tile.
type function struct {
	*build.Context
	tile reg.Register
}

func newFunction(c *build.Context, name, doc string) function {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func(t *byte)")
	c.Comment(doc)
	return function{c, c.Load(c.Param("t"), c.GP64())}
}

// field returns the place of a field of the tile.
func (f function) field(name string) Mem {
	for i, n := range tileFields {
		if n == name {
			return Mem{Base: f.tile, Disp: 8 * i}
		}
	}
	panic(fmt.Sprintf("tile has no field %q", name))
}

// load returns a new register that holds a field.
func (f function) load(name string) reg.GPVirtual {
	r := f.GP64()
	f.MOVQ(f.field(name), r)
	return r
}

// dispatch branches to one of the bodies by the number of rows in the tile, from 1 to
// max.
func (f function) dispatch(name string, max int, body func(label string, rows int)) {
	label := func(rows int) string { return fmt.Sprintf("%s_%d", name, rows) }
	m := f.load("m")
	for rows := max; rows > 1; rows-- {
		f.CMPQ(m, Imm(uint64(rows)))
		f.JEQ(LabelRef(label(rows)))
	}
	for rows := 1; rows <= max; rows++ {
		f.Label(label(rows))
		body(label(rows), rows)
		f.VZEROUPPER()
		f.RET()
	}
}

// rows addresses element 0 of the rows of A through pointers to row 0 and row 9 and odd
// multiples of the row stride.
type rows struct {
	first, ninth   reg.Register
	rs, r3, r5, r7 reg.Register
}

func (f function) newRows(n int) *rows {
	r := &rows{first: f.GP64()}
	r.rs = f.load("rs")
	multiple := func(least, from int, base reg.Register) reg.Register {
		if n <= least {
			return nil
		}
		m := f.GP64()
		f.LEAQ(Mem{Base: base, Index: r.rs, Scale: 2}, m)
		return m
	}
	r.r3 = multiple(3, 1, r.rs)
	r.r5 = multiple(5, 3, r.r3)
	r.r7 = multiple(7, 5, r.r5)
	if n > 9 {
		r.ninth = f.GP64()
	}
	return r
}

// start points the rows at p, the first element of row 0.
func (f function) start(r *rows, p Op) {
	f.MOVQ(p, r.first)
	if r.ninth != nil {
		f.LEAQ(Mem{Base: r.first, Index: r.rs, Scale: 8}, r.ninth)
		f.ADDQ(r.rs, r.ninth)
	}
}

// advance moves all rows by step bytes.
func (f function) advance(r *rows, step Op) {
	f.ADDQ(step, r.first)
	if r.ninth != nil {
		f.ADDQ(step, r.ninth)
	}
}

// at returns the current element of row i, at most 17.
func (r *rows) at(i int) Mem {
	base := r.first
	if i > 8 {
		base, i = r.ninth, i-9
	}
	switch i {
	case 0:
		return Mem{Base: base}
	case 3, 6:
		return Mem{Base: base, Index: r.r3, Scale: uint8(i / 3)}
	case 5:
		return Mem{Base: base, Index: r.r5, Scale: 1}
	case 7:
		return Mem{Base: base, Index: r.r7, Scale: 1}
	}
	return Mem{Base: base, Index: r.rs, Scale: uint8(i)}
}
