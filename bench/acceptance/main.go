// Command acceptance runs the long checks that the test suite leaves out: the
// accuracies and exactness that README and changelog claim, on real data, and
// resuming after kills. It prints a table and ends with exit code 1 if a bar is
// missed.
//
//	go run ./bench/acceptance --data-dir DIR [digits mnist cifar10 resume]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		os.Exit(1)
	}
}

// suite is what the checks share.
type suite struct {
	ctx    context.Context
	binary string
	dir    string
	data   string
	failed []string
}

func run(ctx context.Context) error {
	data := flag.String("data-dir", os.Getenv("BITGRAD_DATA"), "folder with the files of MNIST and CIFAR-10")
	keep := flag.String("out", "", "folder for the runs; a temporary one that is removed unless given")
	seeds := flag.Int("seeds", 3, "number of seeds on MNIST")
	floatEpochs := flag.Int("mnist-float-epochs", 10, "epochs in floating point on MNIST")
	epochs := flag.Int("mnist-epochs", 5, "epochs on integers on MNIST")
	cifarFloat := flag.Int("cifar-float-epochs", 2, "epochs in floating point on CIFAR-10")
	cifarEpochs := flag.Int("cifar-epochs", 2, "epochs on integers on CIFAR-10")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: go run ./bench/acceptance [flags] [digits mnist cifar10 resume]")
		flag.PrintDefaults()
	}
	flag.Parse()
	s := &suite{ctx: ctx, data: *data, dir: *keep}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "bitgrad-acceptance")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.dir = dir
	} else if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	s.binary = filepath.Join(s.dir, "bitgrad")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", s.binary, "./cmd/bitgrad").CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/bitgrad: %w\n%s", err, out)
	}
	checks := map[string]func() error{
		"digits":  s.digits,
		"mnist":   func() error { return s.mnist(*seeds, *floatEpochs, *epochs) },
		"cifar10": func() error { return s.cifar(*cifarFloat, *cifarEpochs) },
		"resume":  s.resume,
	}
	names := flag.Args()
	if len(names) == 0 {
		names = []string{"digits", "resume", "mnist", "cifar10"}
	}
	for _, name := range names {
		check := checks[name]
		if check == nil {
			return fmt.Errorf("no check is called %q: there are digits, mnist, cifar10 and resume", name)
		}
		start := time.Now()
		fmt.Printf("== %s\n", name)
		if err := check(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Printf("   %.0f s\n", time.Since(start).Seconds())
	}
	if len(s.failed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(s.failed, "; "))
	}
	fmt.Println("every bar is reached")
	return nil
}

// expect prints a claim and remembers it if it does not hold.
func (s *suite) expect(ok bool, format string, args ...any) {
	text, word := fmt.Sprintf(format, args...), "ok    "
	if !ok {
		word = "MISSED"
		s.failed = append(s.failed, text)
	}
	fmt.Printf("   %s %s\n", word, text)
}
