package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// small is a run of all stages that takes some seconds.
var small = []string{"train", "--limit", "3000", "--float-epochs", "2", "--epochs", "2", "--verify-images", "20"}

// resume: a run killed at ten random moments and continued ends with the bytes of
// one that nobody disturbed; so does a run on one thread, and resuming a finished
// run changes nothing.
func (s *suite) resume() error {
	start := time.Now()
	if _, err := s.command(append(append([]string(nil), small...), "--out", s.path("calm"), "--threads", "2")...); err != nil {
		return err
	}
	length := time.Since(start)
	if _, err := s.command(append(append([]string(nil), small...), "--out", s.path("single"), "--threads", "1")...); err != nil {
		return err
	}
	if err := s.same("1 thread against 2", "calm", "single"); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	dir := s.path("killed")
	kills, said := 0, 0
	for kills < 10 {
		args := append(append([]string(nil), small...), "--out", dir)
		if _, err := os.Stat(filepath.Join(dir, "config.yaml")); err == nil {
			args = []string{"train", "--resume", dir}
		} else if err := os.RemoveAll(dir); err != nil { // killed before there was anything to continue
			return err
		}
		cmd := exec.CommandContext(s.ctx, s.binary, args...)
		var log bytes.Buffer
		cmd.Stderr = &log
		if err := cmd.Start(); err != nil {
			return err
		}
		timer := time.AfterFunc(time.Duration(r.Float64()*float64(length)/4), func() { cmd.Process.Signal(syscall.SIGKILL) })
		err := cmd.Wait()
		timer.Stop()
		if strings.Contains(log.String(), "continu") {
			said++
		}
		var exit *exec.ExitError
		switch {
		case err == nil: // finished before it was killed: the rest of the kills hit the finished run
		case errors.As(err, &exit) && exit.ExitCode() == -1:
		default:
			return fmt.Errorf("killed run: %w\n%s", err, log.String())
		}
		kills++
	}
	if _, err := s.command("train", "--resume", dir); err != nil {
		return err
	}
	s.expect(said > 0, "resume: %d of the runs said where they continue", said)
	if err := s.same("ten kills", "calm", "killed"); err != nil {
		return err
	}
	before, err := s.files("killed", true)
	if err != nil {
		return err
	}
	if _, err := s.command("train", "--resume", dir); err != nil {
		return err
	}
	after, err := s.files("killed", true)
	if err != nil {
		return err
	}
	s.expect(equal(before, after) == "", "resume: a finished run is left alone %s", equal(before, after))
	return nil
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
