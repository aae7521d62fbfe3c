package recipe_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/bitgrad/bitgrad/recipe"
)

// A small network on a few digits, from nothing to an integer model of 4-bit
// weights that was compared with the trained network code by code.
func ExampleStart() {
	dir, err := os.MkdirTemp("", "bitgrad")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	c, err := recipe.Default("digits")
	if err != nil {
		log.Fatal(err)
	}
	c.Net, c.Quant, c.Limit = "smallconvnet", "dfp:w4a8", 256
	c.Float.Epochs, c.Tune.Epochs, c.Verify, c.Export = 1, 1, 8, nil

	result, err := recipe.Start(context.Background(), c, recipe.Options{Dir: filepath.Join(dir, "run")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("codes that differ:", result.Verify.Mismatches)
	fmt.Println("weights of conv2:", *result.Layers[3].WeightBits, "bits")
	// Output:
	// codes that differ: 0
	// weights of conv2: 4 bits
}

// The program of the package comment, cut short.
func TestStartAsDocumented(t *testing.T) {
	t.Chdir(t.TempDir())
	run := func(ctx context.Context) error {
		c, err := recipe.Default("digits")
		if err != nil {
			return err
		}
		c.Quant = "dfp:w4a8"
		c.Net, c.Limit, c.Float.Epochs, c.Tune.Epochs, c.Verify = "smallconvnet", 128, 0, 0, 4
		result, err := recipe.Start(ctx, c, recipe.Options{Log: os.Stderr})
		if err != nil {
			return err
		}
		return result.WriteTable(os.Stdout)
	}
	if err := run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("runs/001/model.safetensors"); err != nil {
		t.Error(err)
	}
}
