package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"
)

// small is a run of all stages that takes some seconds. Its epochs are so long that
// checkpoints are written within them too.
var small = []string{"train", "--limit", "2400", "--batch", "8", "--float-epochs", "2", "--epochs", "2", "--verify-images", "20"}

// Moments at which a run is killed.
const (
	anyTime   = "at a random time"
	inWriting = "while a checkpoint was written"
	atStage   = "as a stage began"
)

// resume: a run killed at ten random moments and continued ends with the bytes of
// one that nobody disturbed; so does a run on one thread, and resuming a finished
// run changes nothing.
func (s *suite) resume() error {
	start := time.Now()
	if _, err := s.command(append(slices.Clone(small), "--out", s.path("calm"), "--threads", "2")...); err != nil {
		return err
	}
	length := time.Since(start)
	if _, err := s.command(append(slices.Clone(small), "--out", s.path("single"), "--threads", "1")...); err != nil {
		return err
	}
	if err := s.same("1 thread against 2", "calm", "single"); err != nil {
		return err
	}
	name, err := s.killTenTimes(length)
	if err != nil {
		return err
	}
	before, err := s.files(name, true)
	if err != nil {
		return err
	}
	if _, err := s.command("train", "--resume", s.path(name)); err != nil {
		return err
	}
	after, err := s.files(name, true)
	if err != nil {
		return err
	}
	s.expect(equal(before, after) == "", "resume: a finished run is left alone %s", equal(before, after))
	return nil
}

// killTenTimes kills until every moment was met as often as it should be. A run
// that comes to its end meanwhile is compared, and another one begun. It returns
// the name of the last run.
func (s *suite) killTenTimes(length time.Duration) (name string, err error) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	left := slices.Concat(slices.Repeat([]string{anyTime}, 4), slices.Repeat([]string{inWriting}, 3), slices.Repeat([]string{atStage}, 3))
	r.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	met, said := map[string]int{}, 0
	for runs := 0; len(left) > 0; {
		if runs++; runs > 20 {
			return "", fmt.Errorf("runs end before they can be killed %v", left)
		}
		name = fmt.Sprintf("killed%d", runs)
		for len(left) > 0 {
			k := &killing{suite: s, dir: s.path(name), random: r, within: length / 4}
			moment, err := k.run(left[0])
			said += k.said
			if err != nil {
				return "", err
			}
			if moment == "" {
				break
			}
			met[moment]++
			if i := slices.Index(left, moment); i >= 0 {
				left = slices.Delete(left, i, i+1)
			}
		}
		if _, err := s.command("train", "--resume", s.path(name)); err != nil {
			return "", err
		}
		if err := s.same("after kills", "calm", name); err != nil {
			return "", err
		}
	}
	for _, moment := range []string{anyTime, inWriting, atStage} {
		s.expect(met[moment] >= 3, "resume: killed %d times %s", met[moment], moment)
	}
	s.expect(said > 0, "resume: %d times a run said from which step it continues, that of its checkpoint", said)
	return name, nil
}

func (s *suite) same(what, a, b string) error {
	x, err := s.files(a, false)
	if err != nil {
		return err
	}
	y, err := s.files(b, false)
	if err != nil {
		return err
	}
	diff := equal(x, y)
	s.expect(diff == "", "resume: %s: %d files, same bytes %s", what, len(x), diff)
	return nil
}

// files reads a run directory. What tells of times and machines is left out
// unless all is set: run.json, and result.json, which quotes it.
func (s *suite) files(name string, all bool) (map[string]string, error) {
	found := map[string]string{}
	root := s.path(name)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !all && (d.Name() == "run.json" || d.Name() == "result.json") {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		found[rel] = string(data)
		return err
	})
	return found, err
}

// equal names the files that differ.
func equal(a, b map[string]string) string {
	var names []string
	for name, data := range a {
		if other, ok := b[name]; !ok || other != data {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if len(names) == 0 {
		return ""
	}
	return "differ: " + strings.Join(names, " ")
}
