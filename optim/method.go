package optim

// A Method is an update rule. It is an immutable description; what it remembers
// between steps lives in the slots that the optimizer keeps for it. A method of
// your own needs nothing but these functions.
type Method interface {
	// Name identifies the method in errors and run files: "sgd".
	Name() string
	// Slots names the vectors, each as long as the parameter and zero at first,
	// that the method keeps per parameter.
	Slots() []string
	// Validate reports a setting that cannot work.
	Validate() error
	// Update applies one step to a run of elements of one parameter. It is
	// called from several goroutines for different runs, so every element must
	// be computed from itself alone.
	Update(u *Update)
}

// Update is one step for a run of elements of one parameter.
type Update struct {
	// Value is changed; Grad, which clipping and averaging have been applied
	// to, is read.
	Value, Grad []float32
	// Slots holds the vectors in the order of Method.Slots.
	Slots [][]float32
	// LearningRate has the schedule and the factors of the groups in it.
	LearningRate float64
	WeightDecay  float64
	// Count is the number of steps that this parameter has taken, this one
	// included.
	Count int64
}
