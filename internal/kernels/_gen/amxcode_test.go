package main

import (
	"bytes"
	"testing"

	"github.com/mmcloughlin/avo/reg"
)

// The encodings are those of the GNU assembler.
func TestEncodingOfAMX(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"tileloadd (%rsi,%r9,1), %tmm4", rowsOf(ppF2, 0x4b, 4, tileMemory{reg.RSI, reg.R9, 0}), "\xc4\xa2\x7b\x4b\x24\x0e"},
		{"tileloadd (%rsi,%rax,1), %tmm4", rowsOf(ppF2, 0x4b, 4, tileMemory{reg.RSI, reg.RAX, 0}), "\xc4\xe2\x7b\x4b\x24\x06"},
		{"tileloadd 64(%rbx,%r10,1), %tmm7", rowsOf(ppF2, 0x4b, 7, tileMemory{reg.RBX, reg.R10, 64}), "\xc4\xa2\x7b\x4b\x7c\x13\x40"},
		{"tileloadd (%r12,%r8,1), %tmm0", rowsOf(ppF2, 0x4b, 0, tileMemory{reg.R12, reg.R8, 0}), "\xc4\x82\x7b\x4b\x04\x04"},
		{"tileloadd (%r13,%r8,1), %tmm0", rowsOf(ppF2, 0x4b, 0, tileMemory{reg.R13, reg.R8, 0}), "\xc4\x82\x7b\x4b\x44\x05\x00"},
		{"tilestored %tmm2, (%rdi,%r11,1)", rowsOf(ppF3, 0x4b, 2, tileMemory{reg.RDI, reg.R11, 0}), "\xc4\xa2\x7a\x4b\x14\x1f"},
		{"tdpbusd %tmm6, %tmm4, %tmm0", registers(pp66, 0x5e, 0, 6, 4), "\xc4\xe2\x49\x5e\xc4"},
		{"tdpbssd %tmm7, %tmm5, %tmm3", registers(ppF2, 0x5e, 3, 7, 5), "\xc4\xe2\x43\x5e\xdd"},
		{"tilerelease", registers(0, 0x49, 0, 0, 0), "\xc4\xe2\x78\x49\xc0"},
	} {
		if !bytes.Equal(c.got, []byte(c.want)) {
			t.Errorf("%s: % x, want % x", c.name, c.got, c.want)
		}
	}
}
