// Package cpu tells which instruction set the kernels use.
//
// The sets form a ladder, each containing the ones below. Level is the highest
// that the processor and the operating system support, unless the environment
// variable BITGRAD_CPU names a lower one (portable, avx2, avx512, vnni or amx), which
// serves to find out whether a kernel is to blame for a result. Results that are
// integers are the same on every level; float results are byte-identical only
// within one.
//
//	if err := cpu.Err(); err != nil {
//		return err // BITGRAD_CPU asks for something that this machine lacks
//	}
//	fmt.Println("kernels:", cpu.Level())
package cpu

import (
	"fmt"
	"os"
	"sync"
)

// Variable is the environment variable that caps Level.
const Variable = "BITGRAD_CPU"

// An ISA is a set of instructions that kernels are written for.
type ISA uint8

// The ladder of instruction sets.
const (
	Portable ISA = iota // Go alone
	AVX2                // AVX2, FMA and BMI2
	AVX512              // AVX-512 F, BW, VL and DQ, and AVX2
	VNNI                // AVX-512 VNNI (8-bit dot products), and AVX512
	AMX                 // AMX-TILE and AMX-INT8 (8-bit matrix products), and VNNI
)

// choices lists the names for messages.
const choices = "portable, avx2, avx512, vnni or amx"

var names = [...]string{Portable: "portable", AVX2: "avx2", AVX512: "avx512", VNNI: "vnni", AMX: "amx"}

// String returns the name that BITGRAD_CPU and checkpoints use: "avx512".
func (i ISA) String() string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("ISA(%d)", uint8(i))
}

// Parse returns the set of the given name.
func Parse(name string) (ISA, error) {
	for i, n := range names {
		if n == name {
			return ISA(i), nil
		}
	}
	return Portable, fmt.Errorf("cpu: level %q: must be "+choices, name)
}

// Level returns the instruction set to use: the best one, or the one that
// BITGRAD_CPU asks for. It never changes while the program runs.
func Level() ISA { return chosen().level }

// Best returns the highest set that this machine supports, whatever BITGRAD_CPU says.
func Best() ISA { return best }

// Err returns why BITGRAD_CPU could not be obeyed, in which case Level is Best,
// or nil.
func Err() error { return chosen().err }

type choice struct {
	level ISA
	err   error
}

var best = detect()

var chosen = sync.OnceValue(func() choice { return choose(os.Getenv(Variable), best) })

// choose applies the wish of the user to what the machine has.
func choose(wish string, best ISA) choice {
	if wish == "" {
		return choice{best, nil}
	}
	level, err := Parse(wish)
	if err != nil {
		return choice{best, fmt.Errorf("cpu: %s=%s: must be "+choices, Variable, wish)}
	}
	if level > best {
		return choice{best, fmt.Errorf("cpu: %s=%s: this program can use at most %v here", Variable, wish, best)}
	}
	return choice{level, nil}
}
