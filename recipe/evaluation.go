package recipe

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/bitgrad/bitgrad/datasets"
)

// An Evaluation is what a network gets right.
type Evaluation struct {
	// What says what was evaluated: "float", "quantized" or "integer".
	What   string `json:"what"`
	Net    string `json:"net"`
	Data   string `json:"data"`
	Images int    `json:"images"`
	// Accuracy and Top5 are fractions of 1. A class counts as among the first five
	// where at most four have a larger logit, or the same and a lower number.
	Accuracy float64 `json:"accuracy"`
	Top5     float64 `json:"top5"`
	Classes  []Class `json:"classes"`
}

// Class is the part of an evaluation that belongs to one class.
type Class struct {
	Name     string  `json:"name"`
	Images   int     `json:"images"`
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
}

func newEvaluation(info datasets.Info) *Evaluation {
	e := &Evaluation{Classes: make([]Class, info.Classes)}
	for i := range e.Classes {
		e.Classes[i].Name = fmt.Sprint(i)
		if i < len(info.ClassNames) {
			e.Classes[i].Name = info.ClassNames[i]
		}
	}
	return e
}

// count adds an image whose own class has the given rank, from 0. Until finish,
// Top5 counts images.
func (e *Evaluation) count(label, rank int) {
	e.Images++
	c := &e.Classes[label]
	c.Images++
	if rank == 0 {
		c.Correct++
	}
	if rank < 5 {
		e.Top5++
	}
}

func (e *Evaluation) finish() {
	correct := 0
	for i := range e.Classes {
		c := &e.Classes[i]
		correct += c.Correct
		c.Accuracy = float64(c.Correct) / float64(max(c.Images, 1))
	}
	e.Accuracy = float64(correct) / float64(max(e.Images, 1))
	e.Top5 /= float64(max(e.Images, 1))
}

// WriteJSON writes the document that --json prints.
func (e *Evaluation) WriteJSON(w io.Writer) error { return writeJSON(w, e) }

// WriteTable writes the accuracy of every class and of all.
func (e *Evaluation) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "class\timages\tcorrect\taccuracy")
	correct := 0
	for _, c := range e.Classes {
		correct += c.Correct
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Name, group(int64(c.Images)), group(int64(c.Correct)), percent(c.Accuracy))
	}
	fmt.Fprintf(t, "all\t%s\t%s\t%s\n", group(int64(e.Images)), group(int64(correct)), percent(e.Accuracy))
	if len(e.Classes) > 5 {
		fmt.Fprintf(t, "top 5\t\t\t%s\n", percent(e.Top5))
	}
	return t.Flush()
}
