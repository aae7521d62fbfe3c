package integer

// PackCodes stores codes of the given width, 1 to 16 bits, one after the other: the
// first bit of a code follows the last bit of the code before, least significant bits and
// bytes first. Negative codes are two's complement. Four 2-bit codes fill a byte
// from the low bits up, two 4-bit codes have the first one in the low nibble, and 8- and
// 16-bit codes are little-endian integers. Bits that no code needs are 0.
// A width outside 1 to 16 gives nil.
//
// For example the 4-bit codes 1, −1, 3 are the bytes 0xf1, 0x03.
func PackCodes(codes []int32, bits int) []byte {
	if bits < 1 || bits > 16 {
		return nil
	}
	data := make([]byte, 0, packedLen(len(codes), bits))
	var word uint32
	var have int
	for _, q := range codes {
		word |= uint32(q) & (1<<uint(bits) - 1) << uint(have)
		for have += bits; have >= 8; have -= 8 {
			data = append(data, byte(word))
			word >>= 8
		}
	}
	if have > 0 {
		data = append(data, byte(word))
	}
	return data
}

// UnpackCodes returns the n codes that PackCodes stored. It refuses data of another length
// and bits set that no code needs.
func UnpackCodes(data []byte, n, bits int, signed bool) ([]int32, error) {
	if bits < 1 || bits > 16 {
		return nil, refuse(ErrFormat, "codes of %d bits: must be 1 to 16", bits)
	}
	if want := packedLen(n, bits); n < 0 || int64(len(data)) != want {
		return nil, refuse(ErrFormat, "%d bytes: %d codes of %d bits need %d", len(data), n, bits, want)
	}
	codes := make([]int32, n)
	var word uint32
	have, next := 0, 0
	for i := range codes {
		for have < bits {
			word |= uint32(data[next]) << uint(have)
			have += 8
			next++
		}
		q := word & (1<<uint(bits) - 1)
		word >>= uint(bits)
		have -= bits
		if signed {
			codes[i] = int32(q<<uint(32-bits)) >> uint(32-bits)
		} else {
			codes[i] = int32(q)
		}
	}
	if word != 0 {
		return nil, refuse(ErrFormat, "bits are set after the last code")
	}
	return codes, nil
}

// packedLen returns the bytes of n codes.
func packedLen(n, bits int) int64 { return (int64(n)*int64(bits) + 7) / 8 }
