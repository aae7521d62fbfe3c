// Package netfile reads networks from descriptions: a list of layers in YAML or JSON
// that says what a program with a [layers.Builder] would.
//
//	layers:
//	  - {conv: conv1, out: 8, kernel: 3, pad: same, bn: true, activation: relu}
//	  - {max_pool: pool1, kernel: 2}
//	  - {linear: fc, out: classes}
//
// A layer reads the one before it unless from names others, so that branches and
// residual blocks are lists as well. Every layer and every field is described in
// docs/networks.md. Reading is strict: an unknown layer or field, a missing one, a
// name used twice and a layer that nothing reads are errors that name the line.
// Whether shapes fit is found by the graph, as for any network.
//
//	d, err := netfile.Read("net.yaml")
//	if err != nil {
//		return err
//	}
//	net := d.Build(layers.WithClasses(20))
//	if err := net.Graph.Err(); err != nil {
//		return err
//	}
//
// A [Description] builds like a reference network: its input and its number of classes
// are those that it is drawn for, and options replace them.
package netfile
