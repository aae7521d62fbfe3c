package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// result is the part of the command's JSON document that is checked.
type result struct {
	Float     *float64 `json:"float_accuracy"`
	Quantized *float64 `json:"quantized_accuracy"`
	Integer   *float64 `json:"integer_accuracy"`
	Verify    *struct {
		Images     int   `json:"images"`
		Codes      int64 `json:"codes"`
		Mismatches int64 `json:"mismatches"`
	} `json:"verify"`
	Seconds float64 `json:"seconds"`
}

// command runs bitgrad and decodes its document.
func (s *suite) command(args ...string) (*result, error) {
	cmd := exec.CommandContext(s.ctx, s.binary, append(args, "--json")...)
	cmd.Env = append(os.Environ(), "BITGRAD_DATA="+s.data)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("bitgrad %v: %w\n%s", args, err, log.String())
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return nil, fmt.Errorf("bitgrad %v: %w", args, err)
	}
	return &r, nil
}

func (s *suite) path(name string) string { return filepath.Join(s.dir, name) }

// exact expects that every code of the images was compared and none differs.
func (s *suite) exact(what string, r *result, images int, codes int64) {
	if r.Verify == nil || r.Integer == nil {
		s.expect(false, "%s: nothing was verified", what)
		return
	}
	s.expect(r.Verify.Mismatches == 0 && r.Verify.Images >= images && r.Verify.Codes >= codes,
		"%s: %d codes of %d images compared, %d differ", what, r.Verify.Codes, r.Verify.Images, r.Verify.Mismatches)
}

// digits: the main job, twice.
func (s *suite) digits() error {
	for i := range 2 {
		start := time.Now()
		r, err := s.command("train", "--out", s.path(fmt.Sprintf("digits%d", i)))
		if err != nil {
			return err
		}
		took := time.Since(start).Seconds()
		s.exact("digits", r, 1, 1_000_001)
		s.expect(*r.Integer >= 0.989, "digits: integer accuracy %.2f %%, bar 98.9", 100**r.Integer)
		s.expect(took < 60, "digits: %.1f s, bar 60", took)
	}
	return nil
}

// mnist: LeNet with several seeds, quantized in two ways, beside a float control
// of the same length.
func (s *suite) mnist(seeds, floatEpochs, epochs int) error {
	var float, control, w8, w4 []float64
	for seed := 1; seed <= seeds; seed++ {
		dir := func(kind string) string { return s.path(fmt.Sprintf("mnist-%s-%d", kind, seed)) }
		common := []string{"train", "--data", "mnist", "--net", "lenet", "--seed", strconv.Itoa(seed), "--epochs", strconv.Itoa(epochs)}
		run := func(kind string, more ...string) (*result, error) {
			return s.command(append(append(append([]string(nil), common...), "--out", dir(kind)), more...)...)
		}
		a, err := run("w8a8", "--float-epochs", strconv.Itoa(floatEpochs), "--quant", "dfp:w8a8", "--verify-images", "0")
		if err != nil {
			return err
		}
		b, err := run("w4a4", "--init", dir("w8a8"), "--float-epochs", "0", "--quant", "dfp:w4a4", "--rule", "fc*=w2a4", "--verify-images", "0")
		if err != nil {
			return err
		}
		c, err := run("control", "--float-epochs", strconv.Itoa(floatEpochs), "--quant", "float")
		if err != nil {
			return err
		}
		fmt.Printf("   seed %d: float %.2f, control of %d epochs %.2f, dfp:w8a8 %.2f, conv w4 fc w2 a4 %.2f\n", seed,
			100**a.Float, floatEpochs+epochs, 100**c.Float, 100**a.Integer, 100**b.Integer)
		s.exact("mnist dfp:w8a8", a, 10000, 1)
		s.exact("mnist conv w4 fc w2 a4", b, 10000, 1)
		float, control = append(float, *a.Float), append(control, *c.Float)
		w8, w4 = append(w8, *a.Integer), append(w4, *b.Integer)
	}
	fmt.Printf("   mean: float %.3f, control %.3f, dfp:w8a8 %.3f, conv w4 fc w2 a4 %.3f\n", mean(float), mean(control), mean(w8), mean(w4))
	s.expect(mean(float) >= 99.10, "mnist: float mean %.3f, bar 99.10", mean(float))
	s.expect(lowest(float) >= 99.00, "mnist: float lowest %.2f, bar 99.00", lowest(float))
	s.expect(mean(w8) >= mean(float)-0.05, "mnist: dfp:w8a8 mean %.3f, bar %.3f", mean(w8), mean(float)-0.05)
	s.expect(mean(w4) >= 98.8, "mnist: conv w4 fc w2 a4 mean %.3f, bar 98.8", mean(w4))
	return nil
}

// cifar: ResNet-8 in three formats, trained briefly; the bar is exactness.
func (s *suite) cifar(floatEpochs, epochs int) error {
	from := ""
	for i, quant := range []string{"dfp:w8a8", "dfp:w4a4", "int8:w8a8,per-channel"} {
		dir := s.path(fmt.Sprintf("cifar10-%d", i))
		args := []string{"train", "--data", "cifar10", "--net", "resnet8", "--quant", quant, "--epochs", strconv.Itoa(epochs), "--verify-images", "0", "--out", dir}
		if from == "" {
			args = append(args, "--float-epochs", strconv.Itoa(floatEpochs))
			from = dir
		} else {
			args = append(args, "--float-epochs", "0", "--init", from)
		}
		r, err := s.command(args...)
		if err != nil {
			return err
		}
		fmt.Printf("   %s: float %.2f, integer %.2f\n", quant, 100**r.Float, 100**r.Integer)
		s.exact("cifar10 "+quant, r, 10000, 1)
	}
	return nil
}

// mean of fractions, in percent.
func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return 100 * sum / float64(max(len(v), 1))
}

func lowest(v []float64) float64 {
	low := 1.0
	for _, x := range v {
		low = min(low, x)
	}
	return 100 * low
}
