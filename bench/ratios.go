package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/internal/measure"
)

// A ratio compares one of ours with one other contender: images per second of ours over
// that of the other, round by round.
type ratio struct {
	Net      string `json:"net"`
	Mode     string `json:"mode"`
	Batch    int    `json:"batch"`
	Threads  int    `json:"threads"`
	Ours     string `json:"ours"`
	Other    string `json:"other"`
	Version  string `json:"version"` // of the other
	Rounds   int    `json:"rounds"`
	OursRate rate   `json:"ours_images_per_s"`
	Rate     rate   `json:"other_images_per_s"`
	measure.Spread
	OursMB int64  `json:"ours_peak_rss_mb"`
	MB     int64  `json:"other_peak_rss_mb"`
	CPU    string `json:"cpu"`
	Level  string `json:"level"`
}

// rate is a median.
type rate float64

// columns are those of the CSV file.
var columns = []string{"net", "mode", "batch", "threads", "ours", "other", "version", "rounds", "ours_images_per_s", "other_images_per_s",
	"ratio_min", "ratio_lower", "ratio_median", "ratio_upper", "ratio_max", "ours_peak_rss_mb", "other_peak_rss_mb", "cpu", "level"}

// keyColumns say which row of the file a ratio replaces.
var keyColumns = []string{"net", "mode", "batch", "threads", "ours", "other", "cpu", "level"}

// record returns the row of the CSV file.
func (r ratio) record() []string {
	number := func(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	return []string{r.Net, r.Mode, strconv.Itoa(r.Batch), strconv.Itoa(r.Threads), r.Ours, r.Other, r.Version, strconv.Itoa(r.Rounds),
		number(float64(r.OursRate), 1), number(float64(r.Rate), 1), number(r.Min, 3), number(r.Lower, 3), number(r.Median, 3), number(r.Upper, 3),
		number(r.Max, 3), strconv.FormatInt(r.OursMB, 10), strconv.FormatInt(r.MB, 10), r.CPU, r.Level}
}

// turns are the measurements of a contender, so many for each round.
type turns struct {
	contender
	took []measurement
	each int
}

// rates returns the images per second of every round: the mean over its turns, which are equally long.
func (t *turns) rates() []float64 {
	v := make([]float64, len(t.took)/t.each)
	for i, m := range t.took {
		v[i/t.each] += m.ImagesPerS / float64(t.each)
	}
	return v
}

func (t *turns) peak() (mb int64) {
	for _, m := range t.took {
		mb = max(mb, m.PeakRSSMB)
	}
	return mb
}

// ratios pairs every one of ours with every other contender of the heat, and with our
// own float step where there is one, fastest first.
func ratios(h heat, all []*turns) []ratio {
	var found []ratio
	for _, o := range all {
		if !o.ours {
			continue
		}
		first := len(found)
		for _, p := range all {
			baseline := p.ours && p != o && p.name == "bitgrad float batch"
			if p.ours && !baseline {
				continue
			}
			ours, others := o.rates(), p.rates()
			paired := make([]float64, len(ours))
			for i, v := range others {
				paired[i] = ours[i] / v
			}
			m := o.took[0]
			found = append(found, ratio{Net: h.net, Mode: h.mode, Batch: m.Batch, Threads: m.Threads, Ours: o.name, Other: p.name, Version: p.took[0].Peer,
				Rounds: len(paired), OursRate: rate(measure.SpreadOf(ours).Median), Rate: rate(measure.SpreadOf(others).Median),
				Spread: measure.SpreadOf(paired), OursMB: o.peak(), MB: p.peak()})
		}
		slices.SortStableFunc(found[first:], func(a, b ratio) int { return cmp.Compare(b.Rate, a.Rate) })
	}
	return found
}

// writeRatios prints a table for each of ours.
func writeRatios(w io.Writer, found []ratio) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, r := range found {
		if i == 0 || r.Ours != found[i-1].Ours || r.Net != found[i-1].Net || r.Mode != found[i-1].Mode {
			if err := t.Flush(); err != nil {
				return err
			}
			fmt.Fprintf(w, "\n%s, batch %d, %d threads: %s, %.1f images/s, %d MB\n", r.Net, r.Batch, r.Threads, r.Ours, r.OursRate, r.OursMB)
			fmt.Fprintln(t, "compared with\timages/s\tMB\tmin\tlower quartile\tmedian\tupper quartile\tmax")
		}
		fmt.Fprintf(t, "%s\t%.1f\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", r.Other, r.Rate, r.MB, r.Min, r.Lower, r.Median, r.Upper, r.Max)
	}
	return t.Flush()
}

// saveRatios writes the CSV file. Rows of one that is there stay unless they are about
// the same.
func saveRatios(path string, found []ratio) error {
	rows, err := readRows(path)
	if err != nil {
		return err
	}
	for _, r := range found {
		record := r.record()
		if i := slices.IndexFunc(rows, func(old []string) bool { return key(old) == key(record) }); i >= 0 {
			rows[i] = record
		} else {
			rows = append(rows, record)
		}
	}
	return files.WriteAtomic(path, func(w io.Writer) error {
		c := csv.NewWriter(w)
		return errors.Join(c.Write(columns), c.WriteAll(rows))
	})
}

func key(record []string) string {
	k := ""
	for _, name := range keyColumns {
		k += record[slices.Index(columns, name)] + "\x00"
	}
	return k
}

// readRows returns the rows of a file that saveRatios wrote, none where there is none.
func readRows(path string) ([][]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) == 0 || !slices.Equal(rows[0], columns) {
		return nil, fmt.Errorf("%w: %s is no table of ratios: its first line must be the names of the columns", errCall, path)
	}
	return rows[1:], nil
}
