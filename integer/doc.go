// Package integer is the model that a quantized network ships as: integer
// weights, integer activations, and rules that say how one becomes the other.
// It needs no training code and no tensor library.
//
// A [Model] is a list of nodes in topological order. Each [Node] applies an
// [Op] to the codes of earlier nodes; its [Type] says what the codes are stored
// in and its grid what they stand for. The first node is the input: uint8
// pixels through one table per channel, or float32 samples through the formula
// behind that table. The last one is usually a linear layer whose accumulators
// are the logits. Every number follows from the rules of package quant, so a
// model gives the same codes on every machine, for every split of a batch.
//
// A [Builder] makes a model. Build checks every shape and every grid, and
// proves for each output channel how large an accumulator can become; it
// refuses what it cannot prove, and says in a [Proof] what it found. Load runs
// the same checks again.
//
// Two programs run a model and share nothing but package quant: the
// interpreter ([Interpret]), nested loops over int64 that follow the formulas
// to the letter, and the engine ([Model.Run]), which packs weights, plans
// buffers and uses the vector instructions of the machine. Tests hold them
// equal on every tensor.
//
//	m, err := integer.Load("model.safetensors")
//	if err != nil {
//		return err
//	}
//	logits, err := m.Run(images) // uint8, [N H W C]; logits are [N O]
//
// A model never changes once it is built and is safe for concurrent use.
//
// Codes travel in two orders. What a caller sees is [N C H W]; inside the engine
// codes are channels-last, [N H W C], with a border of the zero code where a
// convolution pads, and images arrive in that order too, as decoders deliver
// them.
package integer
