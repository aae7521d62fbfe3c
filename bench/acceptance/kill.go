package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bitgrad/bitgrad/train"
)

// A killing starts or continues a run and kills its process.
type killing struct {
	suite  *suite
	dir    string
	random *rand.Rand
	within time.Duration // of a random time

	cmd    *exec.Cmd
	log    strings.Builder
	begun  chan struct{} // a value for each stage that begins
	ended  chan struct{} // closed when the process is gone
	stages int
	said   int // 1: the run said from which step it continues
}

var (
	beginning  = regexp.MustCompile(`^\[\d+/\d+\] `)
	continuing = regexp.MustCompile(`continuing after step (\d+) of`)
)

// run returns the moment that the kill met, which may be another one than was
// wanted; "" where the run came to its end.
func (k *killing) run(moment string) (string, error) {
	args := append(slices.Clone(small), "--out", k.dir)
	if _, err := os.Stat(filepath.Join(k.dir, "config.yaml")); err == nil {
		args = []string{"train", "--resume", k.dir}
	} else if err := os.RemoveAll(k.dir); err != nil { // killed before there was anything to continue
		return "", err
	}
	at, old := k.checkpoints(), k.unfinished()
	k.cmd = exec.CommandContext(k.suite.ctx, k.suite.binary, args...)
	stderr, err := k.cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	k.begun, k.ended = make(chan struct{}, 100), make(chan struct{})
	if err := k.cmd.Start(); err != nil {
		return "", err
	}
	go k.read(stderr)
	switch moment {
	case anyTime:
		await(k, time.After(time.Duration(k.random.Float64()*float64(k.within))))
	case inWriting:
		k.awaitWriting(1 + k.random.IntN(3))
	case atStage:
		await(k, k.begun) // the stage that the run continues in
		await(k, k.begun)
	}
	if err := k.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return "", err
	}
	<-k.ended
	err = k.cmd.Wait()
	if m := continuing.FindStringSubmatch(k.log.String()); m != nil {
		k.said = 1
		if step, _ := strconv.ParseInt(m[1], 10, 64); !slices.Contains(at, step) {
			return "", fmt.Errorf("a run continues after step %d, its checkpoints are of steps %v", step, at)
		}
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &exit) || exit.ExitCode() != -1:
		return "", fmt.Errorf("killed run: %w\n%s", err, k.log.String())
	case slices.ContainsFunc(k.unfinished(), func(name string) bool { return !slices.Contains(old, name) }):
		return inWriting, nil
	case moment == atStage && k.stages > 1:
		return atStage, nil
	}
	return anyTime, nil
}

// read takes in what the run says.
func (k *killing) read(stderr io.Reader) {
	defer close(k.ended)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		line := lines.Text()
		k.log.WriteString(line + "\n")
		if beginning.MatchString(line) && !strings.HasSuffix(line, "done before") {
			k.stages++
			k.begun <- struct{}{}
		}
	}
}

// await waits for a value, or the end of the process.
func await[T any](k *killing, c <-chan T) {
	select {
	case <-c:
	case <-k.ended:
	}
}

// checkpoints returns the steps of the checkpoints of the run.
func (k *killing) checkpoints() []int64 {
	var steps []int64
	for _, folder := range trainingFolders {
		if c, err := train.ReadCheckpoint(filepath.Join(k.dir, folder)); err == nil {
			steps = append(steps, c.Steps)
		}
	}
	return steps
}

var trainingFolders = []string{"float", "finetune"}

// unfinished returns the temporary files of training.
func (k *killing) unfinished() []string {
	var names []string
	for _, folder := range trainingFolders {
		found, _ := filepath.Glob(filepath.Join(k.dir, folder, ".bitgrad-*.tmp"))
		names = append(names, found...)
	}
	return names
}

// awaitWriting waits until the n-th file of training is being written.
func (k *killing) awaitWriting(n int) {
	seen := map[string]bool{}
	for _, name := range k.unfinished() { // of an earlier kill
		seen[name] = true
	}
	n += len(seen)
	for {
		for _, name := range k.unfinished() {
			seen[name] = true
		}
		if len(seen) >= n {
			return
		}
		select {
		case <-k.ended:
			return
		case <-time.After(20 * time.Microsecond):
		}
	}
}
