// Package hugepages asks the operating system to back large blocks of memory with large pages, so that walking
// through them misses the translations of addresses less often. It is advice: where there are no large pages, or the system
// hands them out by itself, nothing changes.
package hugepages

import "unsafe"

// least is the number of bytes from which on advice is worth a system call: one large page of amd64.
const least = 2 << 20

// Advise asks for large pages for s, whose contents stay as they are.
func Advise[T any](s []T) {
	if len(s) == 0 {
		return
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
	if len(bytes) >= least {
		advise(bytes)
	}
}
