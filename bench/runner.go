package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// missingCode is the exit code of a script whose packages are not installed.
const missingCode = 3

// startTime is how long a contender may take to get ready: compilers are slow.
const startTime = 15 * time.Minute

// errMissing marks a contender that is not installed.
var errMissing = errors.New("not installed")

// A runner is a contender that has been started and waits for its turns.
type runner struct {
	contender
	cmd    *exec.Cmd
	cancel context.CancelFunc
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr tail
}

// start starts a contender and returns when it is ready.
func start(ctx context.Context, c contender) (*runner, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &runner{contender: c, cancel: cancel}
	r.cmd = exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	r.cmd.Env = c.env
	r.cmd.Stderr = &r.stderr
	r.cmd.WaitDelay = 10 * time.Second
	var err error
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		cancel()
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		cancel()
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("%w: %w", errMissing, err)
		}
		return nil, err
	}
	r.stdout = bufio.NewReader(out)
	late := time.AfterFunc(startTime, cancel)
	defer late.Stop()
	if _, err := r.line(func(line string) bool { return line == "ready" }); err != nil {
		return nil, r.reason(err)
	}
	return r, nil
}

// turn lets the contender run for so many seconds.
func (r *runner) turn(seconds float64) (measurement, error) {
	var m measurement
	late := time.AfterFunc(time.Duration(seconds*float64(time.Second))+startTime, r.cancel)
	defer late.Stop()
	if _, err := fmt.Fprintln(r.stdin, seconds); err != nil {
		return m, r.reason(err)
	}
	line, err := r.line(func(line string) bool { return strings.HasPrefix(line, "{") })
	if err != nil {
		return m, r.reason(err)
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		r.stop()
		return m, fmt.Errorf("%q: %w", line, err)
	}
	if !(m.ImagesPerS > 0) {
		r.stop()
		return m, fmt.Errorf("%q: no rate", line)
	}
	return m, nil
}

// line returns the next line that is wanted; libraries print all kinds of others.
func (r *runner) line(want func(line string) bool) (string, error) {
	for {
		line, err := r.stdout.ReadString('\n')
		if line = strings.TrimSpace(line); want(line) {
			return line, nil
		}
		if err != nil {
			return "", err
		}
	}
}

// stop ends the contender.
func (r *runner) stop() {
	r.stdin.Close()
	timer := time.AfterFunc(5*time.Second, r.cancel)
	r.cmd.Wait() // how it ends does not matter any more
	timer.Stop()
	r.cancel()
}

// reason ends a contender that went wrong and returns why: what it printed last, if it
// printed anything.
func (r *runner) reason(err error) error {
	r.stdin.Close()
	timer := time.AfterFunc(5*time.Second, r.cancel)
	if ended := r.cmd.Wait(); ended != nil && errors.Is(err, io.EOF) {
		err = ended
	}
	timer.Stop()
	r.cancel()
	last := r.stderr.last()
	var code *exec.ExitError
	if errors.As(err, &code) && code.ExitCode() == missingCode {
		return fmt.Errorf("%w: %s", errMissing, strings.TrimPrefix(last, "not installed: "))
	}
	if last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// A tail keeps the end of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 4096
	t.text = append(t.text, p...)
	if len(t.text) > most {
		t.text = append(t.text[:0], t.text[len(t.text)-most:]...)
	}
	return len(p), nil
}

// last returns the last line that says something.
func (t *tail) last() string {
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
