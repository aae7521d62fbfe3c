//go:build linux || darwin

package files

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"testing"
)

// lockUntilKilled holds the lock on a directory.
func lockUntilKilled(dir string) {
	_, err := LockRun(dir)
	fmt.Println(err)
	bufio.NewReader(os.Stdin).ReadByte() // which never comes
}

// TestKilledProcessHoldsNoLock: a lock keeps other processes out while its own
// lives, and not longer.
func TestKilledProcessHoldsNoLock(t *testing.T) {
	dir := t.TempDir()
	command := child(t, "locked", dir)
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
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "<nil>\n" {
		t.Errorf("got %q, %v", line, err)
	}
	var busy *RunBusyError
	if _, err := LockRun(dir); !errors.As(err, &busy) || busy.Process != command.Process.Pid || busy.Remove != "" {
		t.Errorf("while process %d has it: %v", command.Process.Pid, err)
	}
	if err := command.Process.Kill(); err != nil {
		t.Error(err)
	}
	command.Wait()
	checkDir(t, dir, map[string]string{LockFile: fmt.Sprintf("%d\n", command.Process.Pid)})
	lock, err := LockRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
	checkDir(t, dir, map[string]string{})
}
