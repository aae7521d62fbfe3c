package recipe

import (
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/host"
)

// newMachine describes this computer and this program.
func newMachine(threads int, o Options) machine {
	return machine{
		Version: Version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPU: host.Processor(), Level: cpu.Level().String(), Cores: runtime.NumCPU(),
		Threads: threads, DataDir: absolute(o.DataDir), From: absolute(o.From), StageSeconds: map[string]float64{},
	}
}

// Version returns the version of the module that the program was built from,
// with the commit where the build knows it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, d := range info.Deps {
		if d.Path == "github.com/bitgrad/bitgrad" {
			version = d.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(version, s.Value[:min(12, len(s.Value))]) {
			version += " " + s.Value
		}
	}
	return strings.TrimSpace(version)
}

func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
