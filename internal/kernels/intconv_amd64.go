//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

// intLevel says which variant packs an integer convolution. AVX2 has forms of its own, those
// of intlower_amd64.go, AMX that of amx_amd64.go; the others run on GEMM8, as AMX does for short
// segments.
var intLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.VNNI, cpu.AMX} {
		register("intconv", level, func() { intLevel = level })
	}
}

// ScratchLen returns the bytes of scratch that Rows needs.
func (s *IntConv) ScratchLen() int {
	switch {
	case s.Depthwise() || s.tiles():
		return 0
	case intLevel != cpu.AVX2:
		return s.panelScratch()
	}
	most := 0
	if s.winograd() {
		p := s.planWinograd(nil)
		if most = p.bytes(p.tiles); s.StrideH == 1 {
			return most
		}
	}
	for _, form := range []intForm{pairForm, narrowForm} { // the weights choose
		l := s.lower(form)
		most = max(most, l.bytes(s.band(&l)))
	}
	return most
}

// RowUnit returns the number of output rows of which Rows computes multiples without waste.
func (s *IntConv) RowUnit() int {
	if intLevel == cpu.AVX2 && s.winograd() {
		return winogradTile
	}
	return 1
}

// packOwn packs w in a form of AVX2 or AMX, if that is the level.
func (s *IntConv) packOwn(p *IntWeights, w []uint8) bool {
	switch {
	case s.Depthwise() && gridLevel == cpu.AVX2:
		s.packDepth(p, w)
	case !s.Depthwise() && intLevel == cpu.AVX2:
		s.packLowered(p, w)
	case s.tiles():
		s.packTiles(p, w)
	default:
		return false
	}
	return true
}

// sumColumns is sumColumnsPortable on all levels.
func sumColumns(sums []int32, w []uint8) {
	if intLevel == cpu.Portable {
		sumColumnsPortable(sums, w)
		return
	}
	codeSumsAVX2(&sums[0], &w[0], len(sums), len(w)/len(sums))
}

// tiles reports whether Pack chooses tileForm.
func (s *IntConv) tiles() bool {
	_, run := s.runs()
	return intLevel == cpu.AMX && !s.Depthwise() && run >= tileLeast
}

// rowsOwn is Rows for the forms of AVX2 and AMX.
func (s *IntConv) rowsOwn(acc []int32, x []uint8, xl Layout, p *IntWeights, scratch []uint8, n, oh0, oh1 int) {
	switch p.form {
	case depthForm:
		s.rowsDepth(acc, x, xl, p, n, oh0, oh1)
		return
	case tileForm:
		s.rowsTiles(acc, x, xl, p, scratch, n, oh0, oh1)
		return
	}
	if p.form == winogradForm {
		if need := p.plan.bytes(p.plan.tiles); len(scratch) < need {
			panic("kernels: integer conv: the scratch is too short")
		}
		s.rowsWinograd(acc, x, xl, p, scratch, n, oh0, oh1)
		return
	}
	panels, scratch := p.panels(scratch)
	l := s.lower(p.form)
	band := s.band(&l)
	if len(scratch) < l.bytes(min(band, oh1-oh0)) {
		panic("kernels: integer conv: the scratch is too short")
	}
	for oh := oh0; oh < oh1; oh += band {
		rows := min(band, oh1-oh)
		if l.gather {
			s.gather(&l, scratch, x, xl, n, oh, rows)
		} else {
			s.fill(&l, scratch, x, xl, n, oh, rows)
		}
		s.multiply(acc[(oh-oh0)*s.OW*s.O:], p, panels, &l, scratch, rows)
	}
}
