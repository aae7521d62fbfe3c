package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

// A variant is one implementation of a kernel. Files for an architecture add
// theirs in init; the first of a kernel is the portable one. use switches the
// kernel to it.
type variant struct {
	kernel string
	needs  cpu.ISA
	use    func()
}

var variants []variant

// register makes a variant known and, if the level allows it, switches to it:
// variants of one kernel are registered from the lowest level up. Calls stand in
// init functions.
func register(kernel string, needs cpu.ISA, use func()) {
	variants = append(variants, variant{kernel, needs, use})
	if needs <= cpu.Level() {
		use()
	}
}
