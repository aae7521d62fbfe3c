//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bitgrad/bitgrad/internal/files"
)

// determined reads the files of a run that its configuration determines.
func determined(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "run.json" || d.Name() == "result.json" {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func compareRuns(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s differs", name)
		}
	}
}

// whole checks that nothing under a final name is partial.
func whole(t *testing.T, dir string) {
	t.Helper()
	for name := range determined(t, dir) {
		if strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s was left behind", name)
		}
		if strings.HasSuffix(name, ".safetensors") {
			if _, err := files.LoadSafetensors(filepath.Join(dir, name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func long(out string) []string {
	return append(quick("--out", out), "--float-epochs", "6", "--epochs", "4", "--limit", "800")
}

func TestInterruptAndKill(t *testing.T) {
	dir := t.TempDir()
	if text, err := command(dir, long("whole")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	want := determined(t, filepath.Join(dir, "whole"))

	signal := func(s os.Signal) func(*os.Process) error {
		return func(p *os.Process) error { return p.Signal(s) }
	}
	code, log := interrupt(t, command(dir, long("stopped")...), "epoch 2/6", signal(os.Interrupt))
	if code != exitFailed || !strings.HasSuffix(log, "continue with: "+os.Args[0]+" train --resume stopped\n") || !strings.Contains(log, "interrupted in stage float") {
		t.Errorf("interrupted: exit code %d\n%s", code, log)
	}
	whole(t, filepath.Join(dir, "stopped"))
	code, log = interrupt(t, command(dir, "train", "--resume", "stopped"), "epoch 1/4", signal(syscall.SIGTERM))
	if code != exitFailed || !strings.Contains(log, "continuing after step") || !strings.Contains(log, "interrupted in stage finetune") {
		t.Errorf("terminated: exit code %d\n%s", code, log)
	}
	for _, word := range []string{"[3/7] finetune", "[5/7] verify", "[7/7] report"} {
		interrupt(t, command(dir, "train", "--resume", "stopped"), word, (*os.Process).Kill)
	}
	if text, err := command(dir, "train", "--resume", "stopped").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	compareRuns(t, determined(t, filepath.Join(dir, "stopped")), want)
}

// While a process is at work on a run, another cannot continue it; once it is gone,
// killed or not, it can.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	_, log := interrupt(t, command(dir, long("run")...), "epoch 2/6", func(p *os.Process) error {
		second := command(dir, "train", "--resume", "run")
		text, _ := second.CombinedOutput()
		want := fmt.Sprintf("bitgrad: files: run directory run is in use by another process (%d)\n", p.Pid)
		if code := second.ProcessState.ExitCode(); code != exitCall || string(text) != want {
			t.Errorf("exit code %d, %q, want %d, %q", code, text, exitCall, want)
		}
		return p.Kill()
	})
	if strings.Contains(log, "bitgrad:") {
		t.Errorf("the second call disturbed the first:\n%s", log)
	}
	whole(t, filepath.Join(dir, "run"))
	code, log := interrupt(t, command(dir, "train", "--resume", "run"), "epoch 4/6", func(p *os.Process) error { return p.Signal(os.Interrupt) })
	if code != exitFailed || !strings.Contains(log, "continuing after step") {
		t.Errorf("after a kill: exit code %d\n%s", code, log)
	}
	if _, err := os.Stat(filepath.Join(dir, "run", files.LockFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock is left behind: %v", err)
	}
}

// A disk that fills up is a limit on the size of files here: the run fails, what is under
// a final name is whole, and with more room it goes on.
func TestFullDisk(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	dir := t.TempDir()
	if text, err := command(dir, quick("--out", "whole")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	want := determined(t, filepath.Join(dir, "whole"))
	limited := func(blocks string, args ...string) (int, string) {
		c := command(dir, args...)
		c.Args = append([]string{"sh", "-c", "ulimit -f " + blocks + ` && exec "$@"`, "sh"}, append([]string{c.Path}, args...)...)
		c.Path = sh
		text, _ := c.CombinedOutput()
		return c.ProcessState.ExitCode(), string(text)
	}
	// Blocks are of 512 or 1024 bytes. First the checkpoint does not fit, then the C text.
	code, log := limited("8", quick("--out", "full")...)
	if code != exitFailed || !strings.Contains(log, "too large") || !strings.Contains(log, "continue with: "+os.Args[0]+" train --resume full") {
		t.Errorf("exit code %d\n%s", code, log)
	}
	whole(t, filepath.Join(dir, "full"))
	for range 2 {
		code, log = limited("150", "train", "--resume", "full")
		whole(t, filepath.Join(dir, "full"))
	}
	if code == exitDone {
		t.Skipf("everything fits:\n%s", log)
	}
	if text, err := command(dir, "train", "--resume", "full").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	compareRuns(t, determined(t, filepath.Join(dir, "full")), want)
}

// What does not fit on stdout is an error too.
func TestFullStdout(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer full.Close()
	for _, args := range [][]string{{"inspect", "--net", "lenet"}, {"inspect", "--net", "lenet", "--json"}} {
		c := command(t.TempDir(), args...)
		var log bytes.Buffer
		c.Stdout, c.Stderr = full, &log
		c.Run()
		if code := c.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(log.String(), "no space left") {
			t.Errorf("%v: exit code %d, %q", args, code, log.String())
		}
	}
}
