//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package host

// PeakRSS returns 0: the system does not tell.
func PeakRSS() int64 { return 0 }
