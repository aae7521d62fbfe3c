package integer

// NoRef stands for an operand that is not a node of the model: a parameter, or
// the raw input.
const NoRef Ref = -1

// Lowerer is implemented by whatever has an integer form: the steps of an
// evaluation program. Lower adds that form to the builder under the given name
// and returns it; it uses the very constants that the step computes with. in
// has one entry per operand, NoRef for those that are not nodes of the model.
//
// A form of several nodes gives the last one the name, which stands for the
// codes of the step, and calls the others name + "/" and a word of its own:
// "shuffle/0". No step computes those; verification compares them between the
// interpreter and the engine.
type Lowerer interface {
	Lower(b *Builder, name string, in []Ref) (Ref, error)
}
