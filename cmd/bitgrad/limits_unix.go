//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"os/signal"
	"syscall"
)

// A file that grows beyond a limit of the system is then a write that fails, like that
// on a full disk, and not the end of the program.
func init() { signal.Ignore(syscall.SIGXFSZ) }
