package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The Go assembler does not know AMX. Its instructions are VEX-encoded, with operands that are
// tiles, general registers and places in memory, in registers that are chosen by hand:
//
//	C4  ~R ~X ~B 00010  0 ~V 0 pp  opcode  mod reg rm  [scale index base]  [displacement]
//
// They are written as numbers behind a comment that names them, operands as in Go: the result last.

// A tmm is a tile register.
type tmm byte

// Tiles of a product of two by two: sums, codes (rows of A) and weights (columns of B).
func tileSum(i, j int) tmm   { return tmm(2*i + j) }
func tileCodes(i int) tmm    { return tmm(4 + i) }
func tileWeights(j int) tmm  { return tmm(6 + j) }
func (t tmm) String() string { return fmt.Sprint("T", byte(t)) }

// A tileMemory is the place of a tile: row i begins at base + displacement + i·stride.
type tileMemory struct {
	base, stride reg.GPPhysical
	displacement int8
}

func (m tileMemory) String() string {
	text := fmt.Sprintf("(%s)(%s*1)", m.base.Asm(), m.stride.Asm())
	if m.displacement != 0 {
		text = fmt.Sprint(m.displacement, text)
	}
	return text
}

// The bits pp.
const (
	pp66 = 1
	ppF3 = 2
	ppF2 = 3
)

// vex encodes the first three bytes, all but the last two fields inverted. r, x and b are the
// fourth bits of the registers, v a whole one.
func vex(r, x, b, v, pp byte) []byte {
	return []byte{0xc4, (^r&1)<<7 | (^x&1)<<6 | (^b&1)<<5 | 2, (^v&15)<<3 | pp}
}

// registers encodes an instruction on tiles; its rm is also 0 where there is none.
func registers(pp, opcode byte, r, v, rm tmm) []byte {
	return append(vex(0, 0, 0, byte(v), pp), opcode, 0xc0|byte(r)<<3|byte(rm))
}

// rowsOf encodes a tile and its place in memory.
func rowsOf(pp, opcode byte, t tmm, m tileMemory) []byte {
	base, index := byte(m.base.PhysicalIndex()), byte(m.stride.PhysicalIndex())
	code := append(vex(0, index>>3, base>>3, 0, pp), opcode, byte(t)<<3|4, index&7<<3|base&7)
	if m.displacement != 0 || base&7 == 5 { // which would mean no base
		code[4] |= 0x40
		code = append(code, byte(m.displacement))
	}
	return code
}

// An assembler adds AMX to a context.
type assembler struct{ *build.Context }

func (a assembler) tileLoad(m tileMemory, t tmm) {
	a.write(fmt.Sprintf("TILELOADD %v, %v", m, t), rowsOf(ppF2, 0x4b, t, m), m.base, m.stride)
}

func (a assembler) tileStore(t tmm, m tileMemory) {
	a.write(fmt.Sprintf("TILESTORED %v, %v", t, m), rowsOf(ppF3, 0x4b, t, m), m.base, m.stride)
}

// tileDot adds to sum the products of codes, signed or not, and signed weights.
func (a assembler) tileDot(signed bool, weights, codes, sum tmm) {
	name, pp := "TDPBUSD", byte(pp66)
	if signed {
		name, pp = "TDPBSSD", ppF2
	}
	a.write(fmt.Sprintf("%s %v, %v, %v", name, weights, codes, sum), registers(pp, 0x5e, sum, weights, codes))
}

// tileConfigure loads the shapes of the tiles and clears them.
func (a assembler) tileConfigure(base reg.GPPhysical) {
	b := byte(base.PhysicalIndex())
	if b&7 == 4 || b&7 == 5 {
		panic("LDTILECFG: this base needs another encoding")
	}
	a.write(fmt.Sprintf("LDTILECFG (%s)", base.Asm()), append(vex(0, 0, b>>3, 0, 0), 0x49, b&7), base)
}

// tileRelease says that the tiles are not needed: nothing has to be saved any more.
func (a assembler) tileRelease() { a.write("TILERELEASE", registers(0, 0x49, 0, 0, 0)) }

// write writes an instruction of five to seven bytes, which reads general registers.
func (a assembler) write(text string, code []byte, reads ...Op) {
	a.Comment(text)
	first := U32(code[0]) | U32(code[1])<<8 | U32(code[2])<<16 | U32(code[3])<<24
	a.Instruction(&ir.Instruction{Opcode: "LONG", Operands: []Op{first}, Inputs: reads})
	for _, b := range code[4:] {
		a.Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(b)}})
	}
}
