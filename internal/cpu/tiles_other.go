//go:build amd64 && !linux && !purego

package cpu

// tilesEnabled reports false: only Linux is known to be asked.
func tilesEnabled() bool { return false }
