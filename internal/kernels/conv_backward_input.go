package kernels

// The gradient of the input by phases is
//
//	dx[n,h,w,c] = Σ dy[n,oh,ow,o] · w[o,c,kh,kw]  over  oh·StrideH + kh·DilH = h + PadTop, likewise in w.
//
// With a stride only some taps reach a given h: those with kh·DilH ≡ h+PadTop
// modulo StrideH. All h of one residue, a phase, have the same taps, so a phase is
// a convolution of stride 1 over dy with a part of the kernel, rotated, and
// writes every StrideH-th row and StrideW-th column of dx.

// A phase is one residue of one axis. With t counting its positions, position t
// is input index t·stride + residue − pad and its tap number i, which is tap
// first + i·step of the kernel, reads output index t − shift − i·shiftStep.
type phase struct {
	t0, t1           int // positions inside the input
	first, step      int
	taps             int
	shift, shiftStep int
}

func newPhase(residue, in, k, stride, pad, dil int) phase {
	d := gcd(stride, dil)
	p := phase{first: -1, step: stride / d, shiftStep: dil / d}
	if pad > residue {
		p.t0 = (pad - residue + stride - 1) / stride
	}
	if last := in - 1 + pad - residue; last >= 0 {
		p.t1 = last/stride + 1
	}
	for i := range min(k, p.step) {
		if i*dil%stride == residue {
			p.first = i
			p.taps = (k-1-i)/p.step + 1
			p.shift = (i*dil - residue) / stride
			break
		}
	}
	return p
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// reach returns how far the phase reads before index 0 and after index out-1.
func (p phase) reach(out int) (before, after int) {
	if p.taps == 0 || p.t1 <= p.t0 {
		return 0, 0
	}
	first := p.t0 - p.shift - (p.taps-1)*p.shiftStep
	last := p.t1 - 1 - p.shift
	return max(0, -first), max(0, last-(out-1))
}

func (s *ConvShape) phaseH(r int) phase { return newPhase(r, s.H, s.KH, s.StrideH, s.PadTop, s.DilH) }
func (s *ConvShape) phaseW(r int) phase { return newPhase(r, s.W, s.KW, s.StrideW, s.PadLeft, s.DilW) }

// phaseBorder returns the border of zeros that dy needs.
func (s *ConvShape) phaseBorder() (top, left, bottom, right int) {
	for r := range s.StrideH {
		a, b := s.phaseH(r).reach(s.OH)
		top, bottom = max(top, a), max(bottom, b)
	}
	for r := range s.StrideW {
		a, b := s.phaseW(r).reach(s.OW)
		left, right = max(left, a), max(right, b)
	}
	return
}

func (s *ConvShape) phaseSize() int {
	cg, og := s.groups()
	return s.Groups * panelColumns(cg) * s.KH * s.KW * og
}

// packPhases brings the weights into the order
// [phase h][phase w][group][panel][tap h][tap w][o][column], taps from the last to the first.
func (s *ConvShape) packPhases(dst, w []float32) {
	cg, og := s.groups()
	taps := s.KH * s.KW
	for g := range s.Groups {
		for j := 0; j < cg; j += panelWidth {
			width := panel(j, cg)
			b := tapBlock{columns: min(width, cg-j), width: width, outputs: og, step: cg * taps, taps: taps}
			for first := 0; first < taps; first += len(b.to) {
				b.n = min(len(b.to), taps-first)
				for i := range b.n {
					b.to[i] = s.backwardRow(first+i, g, j)
					if b.columns < width {
						clear(dst[b.to[i]:][:og*width])
					}
				}
				packTapBlock(dst, w[(g*og*cg+j)*taps+first:], b)
			}
		}
	}
}

// backwardRow returns where the rows of a tap begin in the panel of group g from column j on.
func (s *ConvShape) backwardRow(tap, g, j int) int {
	cg, og := s.groups()
	kh, kw := tap/s.KW, tap%s.KW
	rh, rw := kh*s.DilH%s.StrideH, kw*s.DilW%s.StrideW
	ph, pw := s.phaseH(rh), s.phaseW(rw)
	before := 0 // taps of the phases before this one
	for r := range rh {
		before += s.phaseH(r).taps * s.KW
	}
	for r := range rw {
		before += ph.taps * s.phaseW(r).taps
	}
	from := (ph.taps-1-kh/ph.step)*pw.taps + pw.taps - 1 - kw/pw.step // from the last tap on
	return og * (before*s.Groups*panelColumns(cg) + ph.taps*pw.taps*(g*panelColumns(cg)+j) + from*panel(j, cg))
}

func (s *ConvShape) backwardPhases(dx []float32, dxl Layout, dy []float32, dyl Layout, packed []float32, n0, n1 int, add bool) {
	at := 0
	for rh := range s.StrideH {
		ph := s.phaseH(rh)
		for rw := range s.StrideW {
			pw := s.phaseW(rw)
			if ph.taps == 0 || pw.taps == 0 {
				if !add {
					s.clearPhase(dx, dxl, rh, rw, ph, pw, n0, n1)
				}
				continue
			}
			at = s.backwardPhase(dx, dxl, dy, dyl, packed, at, rh, rw, ph, pw, n0, n1, add)
		}
	}
}

// backwardPhase computes one phase; its weights begin at index at, the next ones
// at the index that it returns.
func (s *ConvShape) backwardPhase(dx []float32, dxl Layout, dy []float32, dyl Layout, packed []float32, at, rh, rw int, ph, pw phase, n0, n1 int, add bool) int {
	cg, og := s.groups()
	runs, run := ph.taps*pw.taps, og
	rows := s.Groups == 1 && dyl.Packed() && (pw.shiftStep == 1 || pw.taps == 1)
	if rows {
		runs, run = ph.taps, pw.taps*og
	}
	var abuf, bbuf [segments]int
	aoff, boff := offsets(abuf[:], runs), offsets(bbuf[:], runs)
	g := GEMM{M: pw.t1 - pw.t0, K: run, A: dy, RS: dyl.SW, CS: 1, B: packed, LDC: s.StrideW * dxl.SW, Add: add}
	left := pw.t0 - pw.shift - (pw.taps-1)*pw.shiftStep // first column of dy
	for group := range s.Groups {
		for j := 0; j < cg; j += panelWidth {
			g.BS = panel(j, cg)
			g.N = min(g.BS, cg-j)
			for t := range boff {
				boff[t] = at + t*run*g.BS
			}
			at += ph.taps * pw.taps * og * g.BS
			if g.M <= 0 {
				continue
			}
			for n := n0; n < n1; n++ {
				for th := ph.t0; th < ph.t1; th++ {
					top := th - ph.shift - (ph.taps-1)*ph.shiftStep
					start := dyl.Row(n, top) + left*dyl.SW + group*og
					first, end := inside(top, ph.shiftStep, ph.taps, s.OH) // rows that do not lie in the border
					first, end = first*runs/ph.taps, end*runs/ph.taps
					for t := first; t < end; t++ {
						if rows {
							aoff[t] = start + t*ph.shiftStep*dyl.SH
						} else {
							aoff[t] = start + t/pw.taps*ph.shiftStep*dyl.SH + t%pw.taps*pw.shiftStep*dyl.SW
						}
					}
					g.AOff, g.BOff = aoff[first:end], boff[first:end]
					h, w := th*s.StrideH+rh-s.PadTop, pw.t0*s.StrideW+rw-s.PadLeft
					g.C = dx[dxl.At(n, h, w, group*cg+j):]
					g.Run()
				}
			}
		}
	}
	return at
}

// clearPhase zeroes the part of dx that no tap reaches.
func (s *ConvShape) clearPhase(dx []float32, dxl Layout, rh, rw int, ph, pw phase, n0, n1 int) {
	for n := n0; n < n1; n++ {
		for th := ph.t0; th < ph.t1; th++ {
			for tw := pw.t0; tw < pw.t1; tw++ {
				clear(dx[dxl.At(n, th*s.StrideH+rh-s.PadTop, tw*s.StrideW+rw-s.PadLeft, 0):][:s.C])
			}
		}
	}
}
