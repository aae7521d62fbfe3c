// Package host says what computer a program runs on: the name of its processor,
// and how much memory the program has taken.
//
//	fmt.Println(host.Processor(), host.PeakRSS()>>20, "MiB")
package host

import (
	"os"
	"strings"
)

// Processor returns the name of the processor, "unknown" where the system does not
// tell it.
func Processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
