package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// amx writes the product of integer convolutions on tiles and the loop of its limit. Tiles hold
// something only between the configuration and the release in one call.
func amx(c *build.Context) {
	writeTileProduct(c, "tileProductAMX", false)
	writeTileProduct(c, "tileProductSignedAMX", true)
	writePeakTile(c)
}

// productFields are the fields of kernels.tileProduct in order, eight bytes each, behind the
// configuration.
var productFields = []string{"a", "b", "c", "start", "aoff", "segments", "steps", "aStep", "bStep", "rs", "bs", "ldc", "blocks", "aBlock", "cBlock", "tiles"}

// A tileProduct is a function under construction, whose only argument is a *tileProduct.
type tileProduct struct {
	assembler
	name   string
	signed bool
	p      reg.GPPhysical
}

func (f tileProduct) field(name string) Mem {
	for i, n := range productFields {
		if n == name {
			return Mem{Base: f.p, Disp: 64 + 8*i}
		}
	}
	panic(fmt.Sprintf("tileProduct has no field %q", name))
}

func (f tileProduct) load(name string) reg.GPVirtual {
	r := f.GP64()
	f.MOVQ(f.field(name), r)
	return r
}

// Strides of tiles in memory stay in registers, which belong to their encoding.
var (
	aStride, bStride, cStride = reg.R8, reg.R9, reg.R10
	noStride                  = reg.R11
)

func writeTileProduct(c *build.Context, name string, signed bool) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func(p *byte)")
	c.Comment("Blocks of up to 32 rows and 32 columns. T0 to T3 are the sums, T4 and T5 codes, T6 and T7 weights.")
	f := tileProduct{assembler{c}, name, signed, reg.RDX}
	f.Load(f.Param("p"), f.p)
	f.tileConfigure(f.p)
	f.MOVQ(f.field("rs"), aStride)
	f.MOVQ(f.field("bs"), bStride)
	f.MOVQ(f.field("ldc"), cStride)
	f.XORQ(noStride, noStride)
	tiles := f.load("tiles")
	for shape := 3; shape > 0; shape-- {
		f.CMPQ(tiles, Imm(uint64(shape)))
		f.JEQ(LabelRef(f.label(shape)))
	}
	for shape := range 4 {
		f.Label(f.label(shape))
		f.blocks(f.label(shape), 1+shape/2, 1+shape%2)
		f.tileRelease()
		f.RET()
	}
}

func (f tileProduct) label(shape int) string {
	return fmt.Sprintf("%s_%d_by_%d", f.name, 1+shape/2, 1+shape%2)
}

// blocks computes all blocks, of one or two tiles each way.
func (f tileProduct) blocks(label string, rows, columns int) {
	row, w := [2]reg.GPPhysical{reg.RSI, reg.RDI}, reg.RBX
	a, c := f.load("a"), f.load("c")
	s, k, left := f.GP64(), f.GP64(), f.load("blocks")
	// second points at the second tile of rows.
	second := func(stride reg.GPPhysical) {
		if rows == 2 {
			f.MOVQ(stride, row[1])
			f.SHLQ(Imm(4), row[1])
			f.ADDQ(row[0], row[1])
		}
	}
	column := func(j int) int8 { return int8(64 * j) }
	f.Label(label + "_block")
	f.MOVQ(f.field("start"), w)
	for i := range rows {
		for j := range columns {
			f.tileLoad(tileMemory{w, noStride, column(j)}, tileSum(i, j))
		}
	}
	f.MOVQ(f.field("b"), w)
	f.XORQ(s, s)
	f.Label(label + "_segment")
	f.CMPQ(s, f.field("segments"))
	f.JGE(LabelRef(label + "_store"))
	f.MOVQ(f.field("aoff"), row[0])
	f.MOVQ(Mem{Base: row[0], Index: s, Scale: 8}, row[0])
	f.ADDQ(a, row[0])
	second(aStride)
	f.INCQ(s)
	f.MOVQ(f.field("steps"), k)
	f.Label(label + "_step")
	for j := range columns {
		f.tileLoad(tileMemory{w, bStride, column(j)}, tileWeights(j))
	}
	for i := range rows {
		f.tileLoad(tileMemory{row[i], aStride, 0}, tileCodes(i))
		for j := range columns {
			f.tileDot(f.signed, tileWeights(j), tileCodes(i), tileSum(i, j))
		}
	}
	for i := range rows {
		f.ADDQ(f.field("aStep"), row[i])
	}
	f.ADDQ(f.field("bStep"), w)
	f.DECQ(k)
	f.JNE(LabelRef(label + "_step"))
	f.JMP(LabelRef(label + "_segment"))
	f.Label(label + "_store")
	f.MOVQ(c, row[0])
	second(cStride)
	for i := range rows {
		for j := range columns {
			f.tileStore(tileSum(i, j), tileMemory{row[i], cStride, column(j)})
		}
	}
	f.ADDQ(f.field("aBlock"), a)
	f.ADDQ(f.field("cBlock"), c)
	f.DECQ(left)
	f.JNE(LabelRef(label + "_block"))
}

// writePeakTile writes a loop that does nothing but multiply tiles in registers.
func writePeakTile(c *build.Context) {
	f := assembler{c}
	f.Function("peakTileAMX")
	f.Attributes(attr.NOSPLIT)
	f.SignatureExpr("func(config *byte, acc *int32, x *uint8, w *int8, rounds int)")
	f.Comment("acc += x·w for each of four tiles, rounds times")
	load := func(name string, r reg.GPPhysical) reg.GPPhysical {
		f.Load(f.Param(name), r)
		return r
	}
	f.tileConfigure(load("config", reg.RDX))
	f.MOVQ(U32(64), aStride)
	sums, x, w := load("acc", reg.RBX), load("x", reg.RSI), load("w", reg.RDI)
	for i := range 2 {
		f.tileLoad(tileMemory{x, aStride, 0}, tileCodes(i))
		f.tileLoad(tileMemory{w, aStride, 0}, tileWeights(i))
	}
	// all calls g for the four tiles of sums and their places.
	all := func(g func(m tileMemory, sum tmm)) {
		f.MOVQ(sums, reg.RSI)
		for i := range 4 {
			g(tileMemory{reg.RSI, aStride, 0}, tileSum(i/2, i%2))
			f.ADDQ(U32(1024), reg.RSI)
		}
	}
	all(f.tileLoad)
	rounds := f.Load(f.Param("rounds"), f.GP64())
	f.Label("round")
	for i := range 2 {
		for j := range 2 {
			f.tileDot(false, tileWeights(j), tileCodes(i), tileSum(i, j))
		}
	}
	f.DECQ(rounds)
	f.JNE(LabelRef("round"))
	all(func(m tileMemory, sum tmm) { f.tileStore(sum, m) })
	f.tileRelease()
	f.RET()
}
