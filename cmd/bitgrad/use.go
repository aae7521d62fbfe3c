package main

import (
	"context"
	"fmt"

	"github.com/bitgrad/bitgrad/recipe"
)

// use returns what the flags say of looking at something saved.
func (f *dataFlags) use(s streams, images int) recipe.UseOptions {
	return recipe.UseOptions{Data: f.Data, DataDir: f.DataDir, Threads: f.Threads, Images: images, Log: s.stderr}
}

type evalCommand struct {
	From string `arg:"" help:"A run, weights of it, or an integer model."`
	dataFlags
	Images int `placeholder:"N" help:"Number of test images; all unless given."`
}

// Run evaluates.
func (e *evalCommand) Run(ctx context.Context, s streams) error {
	saved, err := recipe.Open(e.From)
	if err != nil {
		return err
	}
	found, err := saved.Evaluate(ctx, e.use(s, e.Images))
	if err != nil {
		return err
	}
	if e.JSON {
		return found.WriteJSON(s.stdout)
	}
	return found.WriteTable(s.stdout)
}

type verifyCommand struct {
	Dir    string `arg:"" name:"run" help:"Directory of a run."`
	Model  string `placeholder:"FILE" help:"Integer model to compare, that of the run unless given."`
	Images int    `name:"verify-images" placeholder:"N" help:"Number of test images; all unless given."`
	dataFlags
}

// Run verifies.
func (v *verifyCommand) Run(ctx context.Context, s streams) error {
	diff, err := recipe.Verify(ctx, v.Dir, v.Model, v.use(s, v.Images))
	if diff == nil {
		return err
	}
	write := recipe.WriteDiffTable
	if v.JSON {
		write = recipe.WriteDiffJSON
	}
	if failed := write(s.stdout, diff); failed != nil {
		return failed
	}
	return err
}

type exportCommand struct {
	From   string `arg:"" help:"A run, or an integer model."`
	Format string `default:"c" enum:"c" help:"Format to write: c."`
	Out    string `placeholder:"DIR" required:"" help:"Folder to write to."`
	Images int    `default:"2" placeholder:"N" help:"Number of test images that the text carries to be tried on."`
	dataFlags
}

// Run exports.
func (e *exportCommand) Run(s streams) error {
	saved, err := recipe.Open(e.From)
	if err != nil {
		return err
	}
	files, err := saved.Export(e.Format, e.Out, e.Images, e.use(s, 0))
	if err != nil {
		return err
	}
	if e.JSON {
		return recipe.WriteFilesJSON(s.stdout, files)
	}
	for _, file := range files {
		fmt.Fprintln(s.stdout, file)
	}
	return nil
}

type inspectCommand struct {
	From  string   `arg:"" optional:"" help:"A run, weights of it, or an integer model."`
	Net   string   `placeholder:"NAME|FILE" help:"Reference network to look at instead, or a description of one in YAML or JSON."`
	Quant string   `placeholder:"SPEC" help:"With --net: how it is quantized."`
	Rule  []string `sep:"none" placeholder:"GLOB=SPEC" help:"With --net: how some of its layers are."`
	JSON  bool     `name:"json" help:"Print one JSON document on stdout instead of text."`
}

// Run inspects.
func (i *inspectCommand) Run(s streams) error {
	found, err := i.inspect()
	if err != nil {
		return err
	}
	if i.JSON {
		return found.WriteJSON(s.stdout)
	}
	return found.WriteText(s.stdout)
}

func (i *inspectCommand) inspect() (*recipe.Inspection, error) {
	if (i.From == "") == (i.Net == "") {
		return nil, fmt.Errorf("%w: inspect takes a file or --net, one of them", recipe.ErrConfig)
	}
	if i.Net != "" {
		return recipe.InspectNet(i.Net, i.Quant, i.Rule)
	}
	if i.Quant != "" || len(i.Rule) > 0 {
		return nil, fmt.Errorf("%w: --quant and --rule go with --net: %s is what it is", recipe.ErrConfig, i.From)
	}
	saved, err := recipe.Open(i.From)
	if err != nil {
		return nil, err
	}
	return saved.Inspect()
}
