//go:build linux || darwin

package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// childEnv asks the test binary, started again, to play the part it names.
const childEnv = "BITGRAD_FILES_TEST_CHILD"

func TestMain(m *testing.M) {
	switch part := os.Getenv(childEnv); part {
	case "":
		os.Exit(m.Run())
	case "limited":
		writeUnderLimit(os.Args[1])
	case "killed":
		writeUntilKilled(os.Args[1])
	case "locked":
		lockUntilKilled(os.Args[1])
	default:
		fmt.Println("unknown part:", part)
		os.Exit(1)
	}
}

func child(t *testing.T, part, path string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, path)
	command.Env = append(os.Environ(), childEnv+"="+part)
	return command
}

// writeUnderLimit writes 1 MiB where the kernel allows files of 100000 bytes,
// and prints the error.
func writeUnderLimit(path string) {
	limit := syscall.Rlimit{Cur: 100_000, Max: 100_000}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("setrlimit:", err)
		return
	}
	err := WriteAtomic(path, writes(strings.Repeat("z", 1<<20)))
	fmt.Printf("%v\nEFBIG: %t\n", err, errors.Is(err, syscall.EFBIG))
}

// TestFileSizeLimit has the kernel refuse a write midway. It also sends
// SIGXFSZ, which would end a C program; Go ignores it.
func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	if err := WriteAtomic(path, writes("previous")); err != nil {
		t.Fatal(err)
	}
	got, err := child(t, "limited", path).CombinedOutput()
	want := fmt.Sprintf("files: write %s: %v\nEFBIG: true\n", path, syscall.EFBIG)
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	checkDir(t, dir, map[string]string{"model": "previous"})
}

// writeUntilKilled writes without end.
func writeUntilKilled(path string) {
	err := WriteAtomic(path, func(w io.Writer) error {
		for i := 0; ; i++ {
			if _, err := io.WriteString(w, strings.Repeat("z", 1<<10)); err != nil {
				return err
			}
			if i == 1<<10 {
				fmt.Println("midway")
				select {}
			}
		}
	})
	fmt.Println(err)
}

func TestKilledWriterKeepsPreviousFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	if err := WriteAtomic(path, writes("previous")); err != nil {
		t.Fatal(err)
	}
	command := child(t, "killed", path)
	// A pipe that stays open keeps "select {}" from counting as a deadlock.
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "midway\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if err := command.Process.Kill(); err != nil {
		t.Error(err)
	}
	command.Wait()

	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Fatalf("got %v, %v, want the previous file and a temporary one", entries, err)
	}
	if n, err := RemoveLeftovers(dir); n != 1 || err != nil {
		t.Errorf("got %d leftovers, %v", n, err)
	}
	checkDir(t, dir, map[string]string{"model": "previous"})
}

func TestPermissions(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	mode := func() os.FileMode {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteAtomic(path, writes("1")); err != nil {
		t.Fatal(err)
	}
	if got, want := mode(), info.Mode(); got != want {
		t.Errorf("new file: got %v, want %v as the umask says", got, want)
	}
	for _, want := range []os.FileMode{0o600, 0o755, 0o664} {
		if err := os.Chmod(path, want); err != nil {
			t.Fatal(err)
		}
		if err := WriteAtomic(path, writes("2")); err != nil {
			t.Fatal(err)
		}
		if got := mode(); got != want {
			t.Errorf("replaced file: got %v, want %v", got, want)
		}
	}
}

func TestSymbolicLinkIsFollowed(t *testing.T) {
	target, links := t.TempDir(), t.TempDir()
	if err := WriteAtomic(filepath.Join(target, "model"), writes("1")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(links, "latest")
	if err := os.Symlink(filepath.Join(target, "model"), link); err != nil {
		t.Fatal(err)
	}
	if err := WriteAtomic(link, writes("2")); err != nil {
		t.Fatal(err)
	}
	checkDir(t, target, map[string]string{"model": "2"})
	checkDir(t, links, map[string]string{"latest": "2"})
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	dangling := filepath.Join(links, "dangling")
	if err := os.Symlink(filepath.Join(target, "none"), dangling); err != nil {
		t.Fatal(err)
	}
	if err := WriteAtomic(dangling, writes("3")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dangling link: got %v", err)
	}
}
