package netfile_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/netfile"
)

func ExampleParse() {
	d, err := netfile.Parse([]byte(`
input: {shape: [1, 28, 28]}
layers:
  - {conv: conv1, out: 8, kernel: 3, pad: same, bn: true, activation: relu}
  - {max_pool: pool1, kernel: 2}
  - {linear: fc, out: classes}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	net := d.Build(layers.WithName("tiny"))
	fmt.Println(net.Name, net.Count(), net.MACs(), net.Graph.Err())
	_, err = netfile.Parse([]byte("layers:\n  - {conv: conv1, out: 8, kernal: 3}\n"))
	fmt.Println(err)
	// Output:
	// tiny 15778 72128 <nil>
	// netfile: invalid description: line 2: there is no field kernal; nearest: "kernel", in conv conv1
}

// The lines of the package comment.
func TestReadAsDocumented(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("net.yaml", []byte("input: {shape: [1, 4, 4]}\nlayers:\n  - {linear: fc, out: classes}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		d, err := netfile.Read("net.yaml")
		if err != nil {
			return err
		}
		net := d.Build(layers.WithClasses(20))
		if err := net.Graph.Err(); err != nil {
			return err
		}
		if net.Name != "net" || net.Classes != 20 {
			t.Errorf("%s has %d classes", net.Name, net.Classes)
		}
		return nil
	}
	if err := read(); err != nil {
		t.Error(err)
	}
}
