//go:build !purego

package cpu

import "syscall"

// tilesEnabled reports whether this process may use the tile registers of AMX: whether the system
// saves them when it switches threads and, because they make its signal frames larger, lets the
// process have them for the asking. The permission holds for all threads, old and new ones, and
// costs nothing until a thread uses a tile.
func tilesEnabled() bool {
	const (
		tileConfig, tileData = 17, 18 // state components
		requestPermission    = 0x1023 // ARCH_REQ_XCOMP_PERM, since Linux 5.16
	)
	if saved := xgetbv(); saved>>tileConfig&1 == 0 || saved>>tileData&1 == 0 {
		return false
	}
	_, _, err := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return err == 0
}

// xgetbv returns the lower half of XCR0: the states that the system saves. Only a processor with
// AVX surely has the instruction.
func xgetbv() uint32
