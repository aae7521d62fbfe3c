//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package host

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// PeakRSS returns the most memory that the process has held, in bytes, and 0 where
// the system does not tell.
func PeakRSS() int64 {
	if kib, ok := highWater(); ok {
		return kib << 10
	}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}

// highWater returns what Linux counts for this program alone, in KiB. The rusage of a
// process begins with the memory of the one that started it.
func highWater() (kib int64, ok bool) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err = strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib, err == nil
		}
	}
	return 0, false
}
