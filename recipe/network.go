package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/netfile"
)

// readNet reads the description that Net is the path of: Net becomes its name and
// Network its text. The name of a reference network is never a path.
func (c *Config) readNet() error {
	if c.Network != "" || slices.Contains(layers.Names(), c.Net) {
		return nil
	}
	if info, err := os.Stat(c.Net); (err != nil || info.IsDir()) && !looksLikePath(c.Net) {
		_, unknown := layers.ByName(c.Net)
		return fmt.Errorf("%w; nor is there a file of that name", unknown)
	}
	d, err := netfile.Read(c.Net)
	if err != nil {
		return err
	}
	c.Net, c.Network = d.Name, d.Text()
	return nil
}

func looksLikePath(name string) bool {
	return strings.ContainsAny(name, `/\`) || slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// design returns the function that builds a network: that of a description, or the
// reference network of the name.
func design(name, text string) (func(opts ...layers.Option) *layers.Net, error) {
	if text == "" {
		return layers.ByName(name)
	}
	d, err := netfile.Parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", name, err)
	}
	return func(opts ...layers.Option) *layers.Net {
		return d.Build(append([]layers.Option{layers.WithName(name)}, opts...)...)
	}, nil
}

// Network returns what --net stands for where there is no data: the name and the
// builder of a reference network, or of one whose description is in a file. Such a
// description has to say what images it is drawn for.
func Network(net string) (name string, build func(opts ...layers.Option) *layers.Net, err error) {
	c := Config{Net: net}
	build, err = c.designWithoutData()
	return c.Net, build, err
}

// designWithoutData reads the network and returns the function that builds it, if that
// can be done without a data set.
func (c *Config) designWithoutData() (func(opts ...layers.Option) *layers.Net, error) {
	path := c.Net
	if err := c.readNet(); err != nil {
		return nil, err
	}
	build, err := design(c.Net, c.Network)
	if err != nil {
		return nil, err
	}
	net := build()
	if net.Input.C == 0 {
		return nil, configError("%s does not say what images it is drawn for: add input: {shape: [C, H, W]}", path)
	}
	if err := net.Graph.Err(); err != nil {
		return nil, fmt.Errorf("%w: net %s: %w", ErrConfig, c.Net, err)
	}
	return build, nil
}

// sameNetwork reports whether two networks of the same name have the same layers.
func sameNetwork(a, b string) bool {
	if a == b {
		return true
	}
	d, errA := netfile.Parse([]byte(a))
	e, errB := netfile.Parse([]byte(b))
	return errA == nil && errB == nil && d.Same(e)
}
