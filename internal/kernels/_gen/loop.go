package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A rowKernel is an AVX-512 function that walks over rows of elements, 16 at a time, with a
// mask for the rest.
type rowKernel struct {
	*build.Context
	name     string
	pointers []*pointer
	labels   int
}

// A pointer walks along with the elements. One that rewinds returns to its start with each
// row: the parameters of the channels.
type pointer struct {
	reg    reg.Register
	name   string
	size   int // bytes per element
	rewind bool
	index  reg.Register // elements from reg on, in the loops of strips; nil elsewhere
	gap    Op           // bytes between rows, in the loops of strips; nil if there are none
}

func newRowKernel(c *build.Context, name, signature, doc string) *rowKernel {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr(signature)
	c.Comment(doc)
	return &rowKernel{Context: c, name: name}
}

// param returns the place of a parameter.
func (k *rowKernel) param(name string) Mem {
	b, err := k.Param(name).Resolve()
	if err != nil {
		panic(fmt.Sprintf("%s: %v", k.name, err))
	}
	return b.Addr
}

func (k *rowKernel) load(name string) reg.Register { return k.Load(k.Param(name), k.GP64()) }

// walk declares a parameter that is a pointer to elements of the given size.
func (k *rowKernel) walk(name string, size int) *pointer {
	p := &pointer{reg: k.load(name), name: name, size: size}
	k.pointers = append(k.pointers, p)
	return p
}

// channels declares a parameter that points to one element per channel.
func (k *rowKernel) channels(name string, size int) *pointer {
	p := k.walk(name, size)
	p.rewind = true
	return p
}

// broadcast fills a vector with a 32-bit parameter.
func (k *rowKernel) broadcast(name string, z reg.VecPhysical) { k.VBROADCASTSS(k.param(name), z) }

// constant fills a vector with a 32-bit constant.
func (k *rowKernel) constant(bits uint32, z reg.VecPhysical) {
	r := k.GP32()
	k.MOVL(U32(bits), r)
	k.VPBROADCASTD(r, z)
}

func (k *rowKernel) label(name string) string {
	k.labels++
	return fmt.Sprintf("%s_%d", name, k.labels)
}

// full and tail are the masks of body: all lanes, or the rest of a row.
var full, tail = reg.K1, reg.K2

// rows runs body for the elements of each row; count is nil for a single row. The body must
// not touch K1 and K2. lanes is the number of elements in the mask.
func (k *rowKernel) rows(count, n reg.Register, body func(mask reg.Register, lanes Op)) {
	left, rest, ones := k.GP64(), k.GP64(), k.GP32()
	k.MOVL(U32(0xffff), ones)
	k.KMOVW(ones, full)
	k.MOVQ(n, rest)
	k.ANDQ(Imm(15), rest)
	k.BZHIL(rest.As32(), ones, ones)
	k.KMOVW(ones, tail)
	next, inner, last, end := k.label("row"), k.label("vector"), k.label("rest"), k.label("next")
	if count != nil {
		k.Label(next)
		for _, p := range k.pointers {
			if p.rewind {
				k.Load(k.Param(p.name), p.reg)
			}
		}
	}
	k.MOVQ(n, left)
	k.Label(inner)
	k.CMPQ(left, Imm(16))
	k.JLT(LabelRef(last))
	body(full, Imm(16))
	for _, p := range k.pointers {
		k.ADDQ(Imm(uint64(16*p.size)), p.reg)
	}
	k.SUBQ(Imm(16), left)
	k.JMP(LabelRef(inner))
	k.Label(last)
	k.TESTQ(rest, rest)
	k.JEQ(LabelRef(end))
	body(tail, rest)
	for _, p := range k.pointers {
		if !p.rewind && count != nil {
			k.LEAQ(Mem{Base: p.reg, Index: rest, Scale: uint8(p.size)}, p.reg)
		}
	}
	k.Label(end)
	if count != nil {
		k.DECQ(count)
		k.JNE(LabelRef(next))
	}
	k.VZEROUPPER()
}

// at returns the current elements of a pointer.
func at(p *pointer) Mem {
	if p.index == nil {
		return Mem{Base: p.reg}
	}
	return Mem{Base: p.reg, Index: p.index, Scale: uint8(p.size)}
}
