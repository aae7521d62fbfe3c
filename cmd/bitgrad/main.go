// Command bitgrad trains networks that run on integers, and proves that what is
// exported is what was trained.
//
//	bitgrad train                          the whole job on embedded digits
//	bitgrad train --data cifar10 --quant dfp:w4a8 --rule 'fc=w8'
//	bitgrad quantize runs/001              quantize float weights without training
//	bitgrad finetune runs/002              go on training a quantized network
//	bitgrad eval runs/001                  accuracy per class
//	bitgrad verify runs/001                compare every code
//	bitgrad export runs/001 --out c        plain C
//	bitgrad inspect runs/001               what is in it
//	bitgrad bench --by-node                where the time of a step goes
//
// It prints what it does on stderr and a table on stdout, or with --json one JSON
// document. It exits with 0 when done, 1 when the work failed, 2 when the call was
// wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/bitgrad/bitgrad/internal/measure"
	"github.com/bitgrad/bitgrad/recipe"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitCall   = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// cli is the command line.
type cli struct {
	Train    trainCommand    `cmd:"" help:"Train a network in floating point, quantize it, train it on integers, and write the integer model."`
	Quantize quantizeCommand `cmd:"" help:"Quantize trained float weights without training."`
	Finetune finetuneCommand `cmd:"" help:"Go on training a quantized network."`
	Eval     evalCommand     `cmd:"" help:"Print the accuracy per class on the test images."`
	Verify   verifyCommand   `cmd:"" help:"Compare the integer model of a run with its network, code by code."`
	Export   exportCommand   `cmd:"" help:"Write an integer model in another format."`
	Inspect  inspectCommand  `cmd:"" help:"Print what is in a network or a model."`
	Bench    benchCommand    `cmd:"" help:"Time steps of training or inference."`

	Version kong.VersionFlag `help:"Print the version."`
}

// streams are where a command writes.
type streams struct{ stdout, stderr io.Writer }

// run is the program; it returns the exit code.
func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := interruptible(stderr)
	defer stop()
	var c cli
	exited := -1 // by --help or --version
	parser, err := kong.New(&c,
		kong.Name("bitgrad"),
		kong.Description("Train networks that run on integers: what you train is what you ship, bit for bit."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.Vars{"version": "bitgrad " + recipe.Version()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams{stdout, stderr}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return report(stderr, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	switch {
	case exited >= 0:
		return exited
	case err != nil:
		fmt.Fprintf(stderr, "bitgrad: %v\n", err)
		return exitCall
	}
	return report(stderr, parsed.Run())
}

// report prints an error and returns the exit code that it stands for.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "bitgrad: %s\n", strings.TrimSpace(err.Error()))
	var stopped *recipe.StageError
	if errors.As(err, &stopped) && stopped.Command() != "" {
		fmt.Fprintf(stderr, "continue with: %s\n", strings.Replace(stopped.Command(), "bitgrad", program(os.Args[0]), 1))
	}
	if recipe.IsCall(err) || errors.Is(err, measure.ErrConfig) {
		return exitCall
	}
	return exitFailed
}

// program returns how the command was called: the path that was typed, or go run, which
// leaves an executable in a folder of its own.
func program(arg0 string) string {
	if folder := filepath.ToSlash(filepath.Dir(arg0)); strings.Contains(folder, "/go-build") && strings.HasSuffix(folder, "/exe") {
		return "go run ./cmd/bitgrad"
	}
	return arg0
}

// interruptible returns a context that the first SIGINT or SIGTERM cancels; the
// second ends the program.
func interruptible(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			fmt.Fprintln(stderr, "stopping after this step; once more to stop at once")
			signal.Stop(signals)
			cancel()
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
