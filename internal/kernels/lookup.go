package kernels

// LookUp sets dst[i] = tables[i mod C][src[i]] for a row src [pixels C]: pixels become codes.
func LookUp(dst, src []uint8, tables [][256]uint8) {
	channels := len(tables)
	checkRow("look up", len(dst), len(src), channels)
	switch channels {
	case 1:
		lookUpTriples(dst, src, &tables[0], &tables[0], &tables[0])
		for i := len(src) - len(src)%3; i < len(src); i++ {
			dst[i] = tables[0][src[i]]
		}
	case 3:
		lookUpTriples(dst, src, &tables[0], &tables[1], &tables[2])
	default:
		for c := range tables {
			table := &tables[c]
			for i := c; i < len(src); i += channels {
				dst[i] = table[src[i]]
			}
		}
	}
}

// lookUpTriples is LookUp for whole triples of elements. Their order is that of memory, with one check for
// each triple: a third of the time of one channel after the other.
func lookUpTriples(dst, src []uint8, a, b, c *[256]uint8) {
	for i := 0; i+3 <= len(src); i += 3 {
		s, d := src[i:i+3:i+3], dst[i:i+3:i+3]
		d[0], d[1], d[2] = a[s[0]], b[s[1]], c[s[2]]
	}
}
