package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

// A variant is one implementation of a kernel. Files add theirs in init, in any order;
// each kernel has a portable one. use switches the kernel to it.
type variant struct {
	kernel string
	needs  cpu.ISA
	use    func()
}

var (
	variants []variant
	// chosen says which variant each kernel uses: the highest that the level allows.
	chosen = map[string]cpu.ISA{}
)

// register makes a variant known and, if the level allows it and none is higher, switches
// to it.
func register(kernel string, needs cpu.ISA, use func()) {
	variants = append(variants, variant{kernel, needs, use})
	if current, ok := chosen[kernel]; needs <= cpu.Level() && (!ok || needs > current) {
		chosen[kernel] = needs
		use()
	}
}
