package hugepages

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// advise passes on the whole pages of b. An error means that the system has no such pages.
func advise(b []byte) {
	page := os.Getpagesize()
	skip := int(-uintptr(unsafe.Pointer(&b[0])) % uintptr(page))
	if n := (len(b) - skip) / page * page; n > 0 {
		_ = unix.Madvise(b[skip:skip+n], unix.MADV_HUGEPAGE)
	}
}
