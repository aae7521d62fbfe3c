package kernels

import "testing"

// packCases are convCases and shapes whose rows and columns fill blocks and do not.
func packCases(t *testing.T) []ConvShape {
	cases := convCases(t)
	for _, d := range []struct{ c, o, k int }{{15, 16, 1}, {16, 17, 1}, {17, 31, 1}, {33, 70, 1}, {64, 49, 1}, {7, 48, 2}, {19, 33, 3}, {16, 16, 3}, {37, 3, 5}, {64, 8, 5}} {
		s := ConvShape{C: d.c, O: d.o, KH: d.k, KW: d.k, H: 9, W: 9}
		if err := s.Complete(); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, s)
	}
	return cases
}

// Each weight lies where the formula of the packed order says, and the rest is zero.
func TestPack(t *testing.T) {
	forEach(t, "pack", func(t *testing.T) {
		r := testRand()
		for _, s := range packCases(t) {
			if s.Depthwise() {
				continue
			}
			n := IntConv{ConvShape: s}
			w, codes, colsum := make([]float32, s.WeightSize()), make([]uint8, s.WeightSize()), make([]int32, s.O)
			for i := range w {
				codes[i] = uint8(r.IntN(255) - 127)
				w[i] = float32(int8(codes[i])) + 0.5
			}
			l := n.lower(panelForm)
			l.k += 4 * r.IntN(3) // some forms want segments longer than that
			floats, bytes := guard[float32](s.ForwardSize(), -7, 9), guard[int8](n.panelSize(&l), -7, 9)
			s.PackForward(floats.in, w)
			n.packPanels(&IntWeights{data: bytes.in, sums: colsum}, codes, &l)
			wantFloats, wantBytes, wantSums := make([]float32, len(floats.in)), make([]int8, len(bytes.in)), make([]int32, s.O)
			cg, og := s.groups()
			floatAt, byteAt := 0, 0
			for g := range s.Groups {
				for j := 0; j < og; j += panelWidth {
					width := panel(j, og)
					for column := range min(width, og-j) {
						for c := range cg {
							for kh := range s.KH {
								for kw := range s.KW {
									o := g*og + j + column
									i := s.weight(o, c, kh, kw)
									wantFloats[floatAt+((kh*s.KW+kw)*cg+c)*width+column] = w[i]
									segment, k := kh*s.KW+kw, c
									switch {
									case l.gather:
										segment, k = 0, (kw*s.KH+kh)*cg+c
									case l.segments < s.KH*s.KW || s.KW == 1:
										segment, k = kh, kw*cg+c
									}
									wantBytes[byteAt+((segment*l.k/4+k/4)*width+column)*4+k%4] = int8(codes[i])
									wantSums[o] += int32(int8(codes[i]))
								}
							}
						}
					}
					floatAt += s.KH * s.KW * cg * width
					byteAt += l.codes() * width
				}
			}
			name := s.name()
			equalSlices(t, name+" floats", floats.in, wantFloats)
			equalSlices(t, name+" bytes", bytes.in, wantBytes)
			equalSlices(t, name+" sums", colsum, wantSums)
			floats.check(t, name)
			bytes.check(t, name)
		}
	})
}

// Weights for the gradient of the input by phases lie in the order of phases, groups, panels, taps and outputs.
func TestPackPhases(t *testing.T) {
	forEach(t, "pack", func(t *testing.T) {
		r := testRand()
		for _, s := range packCases(t) {
			if s.Depthwise() {
				continue
			}
			w := normals(r, s.WeightSize())
			got := guard[float32](s.phaseSize(), -7, 9)
			s.packPhases(got.in, w)
			var want []float32
			cg, og := s.groups()
			for rh := range s.StrideH {
				for rw := range s.StrideW {
					for g := range s.Groups {
						for j := 0; j < cg; j += panelWidth {
							for kh := s.KH - 1; kh >= 0; kh-- {
								for kw := s.KW - 1; kw >= 0; kw-- {
									if kh*s.DilH%s.StrideH != rh || kw*s.DilW%s.StrideW != rw {
										continue
									}
									for o := range og {
										for c := j; c < j+panel(j, cg); c++ {
											if c < cg {
												want = append(want, w[s.weight(g*og+o, c, kh, kw)])
											} else {
												want = append(want, 0)
											}
										}
									}
								}
							}
						}
					}
				}
			}
			equalSlices(t, s.name(), got.in, want)
			got.check(t, s.name())
		}
	})
}

// Weights for the gradient of the input by rows lie in the order of kernel rows, outputs, taps and
// channels, with zeros between taps and around rows.
func TestPackRows(t *testing.T) {
	forEach(t, "pack", func(t *testing.T) {
		r := testRand()
		for _, s := range packCases(t) {
			if s.Groups > 1 {
				continue
			}
			g, w := s.rowGradient(), normals(r, s.WeightSize())
			got := guard[float32](g.size(&s), -7, 9)
			s.packRows(got.in, w, &g)
			want := make([]float32, rowWidth-1)
			for kh := range s.KH {
				for o := range s.O {
					for kw := range s.KW {
						if kw > 0 {
							want = append(want, make([]float32, (s.DilW-1)*s.C)...)
						}
						for c := range s.C {
							want = append(want, w[s.weight(o, c, kh, kw)])
						}
					}
					want = append(want, make([]float32, rowWidth-1)...)
				}
			}
			equalSlices(t, s.name(), got.in, want)
			got.check(t, s.name())
		}
	})
}

// Weights for the gradient of the input by blocks lie in the order of pixels of dy, outputs, kernel rows, pixels of
// dx and channels.
func TestPackBlocks(t *testing.T) {
	forEach(t, "pack", func(t *testing.T) {
		r := testRand()
		for _, s := range packCases(t) {
			g, ok := s.bestBlocks()
			if !ok || s.Groups > 1 {
				continue
			}
			w := normals(r, s.WeightSize())
			got := guard[float32](g.size(&s), -7, 9)
			s.packBlocks(got.in, w, &g)
			var want []float32
			for i := range g.window {
				for o := range s.O {
					row := make([]float32, g.columns)
					for kh := range s.KH {
						for kw := range s.KW {
							if p := g.first + i*s.StrideW + kw*s.DilW; p >= 0 && p < g.pixels {
								for c := range s.C {
									row[(kh*g.pixels+p)*s.C+c] = w[s.weight(o, c, kh, kw)]
								}
							}
						}
					}
					want = append(want, row...)
				}
			}
			equalSlices(t, s.name(), got.in, want)
			got.check(t, s.name())
		}
	})
}

func TestUnpackWeightGrad(t *testing.T) {
	first := 0
	forEach(t, "unpack", func(t *testing.T) {
		r := testRand()
		for _, s := range packCases(t) {
			src := normals(r, s.WeightSize())
			set, added := guard[float32](len(src), -7, 9), guard[float32](len(src), -7, 0.25)
			s.UnpackWeightGrad(set.in, src, false)
			s.UnpackWeightGrad(added.in, src, true)
			cg, og := s.groups()
			for i, v := range src { // [G KH KW Cg Og] or [O KH KW Cg]
				o, c, tap, g := i%og, i/og%cg, i/og/cg%(s.KH*s.KW), i/og/cg/(s.KH*s.KW)
				if s.outputsFirst() {
					first++
					o, c, tap, g = i/cg/(s.KH*s.KW), i%cg, i/cg%(s.KH*s.KW), 0
				}
				at := s.weight(g*og+o, c, tap/s.KW, tap%s.KW)
				if set.in[at] != v || added.in[at] != 0.25+v {
					t.Fatalf("%s: weight %d is %v, added to 0.25 %v, want %v and %v", s.name(), at, set.in[at], added.in[at], v, 0.25+v)
				}
			}
			set.check(t, s.name())
			added.check(t, s.name())
		}
	})
	if first == 0 {
		t.Error("no case whose outputs come first")
	}
}
