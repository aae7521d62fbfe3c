//go:build amd64 && !purego

package cpu

import "golang.org/x/sys/cpu"

func detect() ISA {
	x := &cpu.X86
	switch {
	case !(x.HasAVX2 && x.HasFMA && x.HasBMI2 && x.HasPOPCNT):
		return Portable
	case !(x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512DQ):
		return AVX2
	case !x.HasAVX512VNNI:
		return AVX512
	case !(x.HasAMXTile && x.HasAMXInt8 && tilesEnabled()):
		return VNNI
	}
	return AMX
}
