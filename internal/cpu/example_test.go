package cpu_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

// The lines of the package comment.
func TestReportAsDocumented(t *testing.T) {
	report := func() error {
		if err := cpu.Err(); err != nil {
			return err // BITGRAD_CPU asks for something that this machine lacks
		}
		fmt.Println("kernels:", cpu.Level())
		return nil
	}
	if err := report(); (err != nil) != (cpu.Err() != nil) || err != nil && os.Getenv("BITGRAD_CPU") == "" {
		t.Error(err)
	}
}
