package recipe

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"

	"github.com/bitgrad/bitgrad/datasets"
)

// openData opens a data set and cuts it to limit training images, 0 for all.
func openData(data, dir string, limit int) (*datasets.Splits, error) {
	rest := max(100, limit/4)
	if limit > 0 && data == "digits" && limit <= datasets.DigitsTrain && rest <= datasets.DigitsValid { // draw no more than are used
		s, err := datasets.DigitSplits(limit, rest, rest, 1)
		if err == nil {
			s.Notes = append(s.Notes, cutNote)
		}
		return s, err
	}
	s, err := datasets.Open(data, dir)
	if err != nil || limit == 0 {
		return s, err
	}
	cut := func(ds datasets.Dataset, n int) (datasets.Dataset, error) {
		return datasets.Subset(ds, 0, min(n, ds.Info().N))
	}
	out := &datasets.Splits{Notes: append(s.Notes, cutNote)}
	if out.Train, err = cut(s.Train, limit); err != nil {
		return nil, err
	}
	if out.Valid, err = cut(s.Valid, rest); err != nil {
		return nil, err
	}
	out.Test, err = cut(s.Test, rest)
	return out, err
}

const cutNote = "limit cuts the data set: accuracies are rough"

// describeData says what the run learns from.
func (r *run) describeData() {
	info := r.data.Train.Info()
	r.logf("data: %s, images [%d %d %d] of %d classes, %s to train, %s to validate, %s to test", r.cfg.Data, info.C, info.H, info.W,
		info.Classes, group(int64(info.N)), group(int64(r.data.Valid.Info().N)), group(int64(r.data.Test.Info().N)))
	for _, note := range r.data.Notes {
		r.logf("  note: %s", note)
	}
}

// checksumOf returns the SHA-256 of all images and labels.
func checksumOf(s *datasets.Splits) (string, error) {
	h := sha256.New()
	for _, ds := range []datasets.Dataset{s.Train, s.Valid, s.Test} {
		if err := addTo(h, ds); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func addTo(h hash.Hash, ds datasets.Dataset) error {
	info := ds.Info()
	var batch datasets.Batch
	var text []byte
	for _, n := range []int{info.N, info.C, info.H, info.W, info.Classes} {
		text = binary.LittleEndian.AppendUint64(text, uint64(n))
	}
	return eachBatch(ds, 512, &batch, func() error {
		for _, l := range batch.Labels {
			text = binary.LittleEndian.AppendUint32(text, uint32(l))
		}
		for _, x := range batch.Floats {
			text = binary.LittleEndian.AppendUint32(text, math.Float32bits(x))
		}
		h.Write(text)
		h.Write(batch.Pixels)
		text = text[:0]
		return nil
	})
}

// eachBatch reads ds from the first sample to the last and calls f for every
// batch.
func eachBatch(ds datasets.Dataset, size int, batch *datasets.Batch, f func() error) error {
	n := ds.Info().N
	indices := make([]int, 0, size)
	for from := 0; from < n; from += size {
		indices = indices[:0]
		for i := from; i < min(from+size, n); i++ {
			indices = append(indices, i)
		}
		if err := ds.Read(batch, indices); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
