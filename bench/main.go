// Command bench measures how fast Bitgrad trains and infers, and compares it with
// other frameworks.
//
//	go run ./bench step --net resnet20 --mode qat --phase frozen --json
//	go run ./bench train --net resnet20 --mode qat --phase observe --augment crop=4,flip
//	go run ./bench kernels
//	go run ./bench compare --python PATH --tf-python PATH
//
// docs/speed.md says how to read what it prints. The networks are those that other
// frameworks build, layer for layer; bench/peers holds the other side.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitCall   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// cli is the command line.
type cli struct {
	Step     stepCommand     `cmd:"" help:"Time one kind of step."`
	Train    trainCommand    `cmd:"" help:"Let training and its bare steps take turns, and print the ratio."`
	Kernels  kernelsCommand  `cmd:"" help:"Compare the kernels with the limits of the machine."`
	Gorgonia gorgoniaCommand `cmd:"" hidden:""`
	Compare  compareCommand  `cmd:"" help:"Take turns with other frameworks, as far as they are installed, and print ratios."`
}

// streams are where a command reads and writes.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited := -1 // by --help
	parser, err := kong.New(&c,
		kong.Name("bench"),
		kong.Description("Measure how fast Bitgrad trains and infers, and compare it with other frameworks."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams{stdin, stdout, stderr}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	switch {
	case exited >= 0:
		return exited
	case err != nil:
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitCall
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		if isCall(err) {
			return exitCall
		}
		return exitFailed
	}
	return exitDone
}
