package autograd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
)

// chain is x → fc → relu → y with a second reader of relu that no output needs.
func chain(t *testing.T) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("chain")
	x := g.Input("x", autograd.Float32, 3)
	w := g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 3, 3)
	fc := autograd.Linear("fc", x, w, nil)
	relu := autograd.ReLU("relu", fc)
	autograd.Tanh("dead", relu)
	g.SetOutput("y", autograd.Sigmoid("sigmoid", relu))
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	return g
}

// shape prints the nodes with their operands.
func shape(g *autograd.Graph) string {
	var s []string
	for _, n := range g.Nodes() {
		text := n.Name()
		for _, i := range n.Inputs() {
			text += "," + i.Name()
		}
		s = append(s, text)
	}
	return strings.Join(s, " ")
}

func TestRewrites(t *testing.T) {
	tests := []struct {
		name string
		edit func(e *autograd.Edit)
		want string
	}{
		{"nothing drops dead nodes", func(*autograd.Edit) {},
			"x fc.weight fc,x,fc.weight relu,fc sigmoid,relu"},
		{"replace", func(e *autograd.Edit) {
			e.Replace(e.Node("relu"), e.Add("new", autograd.LeakyReLUOp{Slope: 0.5}, e.Node("fc")))
		}, "x fc.weight fc,x,fc.weight new,fc sigmoid,new"},
		{"replace by a reader", func(e *autograd.Edit) {
			e.Replace(e.Node("relu"), e.Add("new", autograd.ReLU6Op{}, e.Node("relu")))
		}, "x fc.weight fc,x,fc.weight relu,fc new,relu sigmoid,new"},
		{"replace an output", func(e *autograd.Edit) { e.Replace(e.Node("sigmoid"), e.Node("dead")) },
			"x fc.weight fc,x,fc.weight relu,fc dead,relu"},
		{"insert after", func(e *autograd.Edit) { e.InsertAfter(e.Node("fc"), "new", autograd.ReLU6Op{}) },
			"x fc.weight fc,x,fc.weight new,fc relu,new sigmoid,relu"},
		{"insert after an output", func(e *autograd.Edit) { e.InsertAfter(e.Node("sigmoid"), "new", autograd.ReLU6Op{}) },
			"x fc.weight fc,x,fc.weight relu,fc sigmoid,relu new,sigmoid"},
		{"insert after a parameter", func(e *autograd.Edit) { e.InsertAfter(e.Node("fc.weight"), "new", autograd.ReLU6Op{}) },
			"x fc.weight new,fc.weight fc,x,new relu,fc sigmoid,relu"},
		{"insert before", func(e *autograd.Edit) {
			b := e.Param("bias", autograd.Bias, autograd.Zeros(), 3)
			e.InsertBefore(e.Node("fc"), 0, "new", autograd.AddOp{}, b)
		}, "x fc.weight bias new,x,bias fc,new,fc.weight relu,fc sigmoid,relu"},
		{"set input", func(e *autograd.Edit) { e.SetInput(e.Node("sigmoid"), 0, e.Node("fc")) },
			"x fc.weight fc,x,fc.weight sigmoid,fc"},
		{"set operation", func(e *autograd.Edit) { e.SetOp(e.Node("relu"), autograd.AddOp{}, e.Node("x"), e.Node("fc")) },
			"x fc.weight fc,x,fc.weight relu,x,fc sigmoid,relu"},
		{"fuse under the name of the first", func(e *autograd.Edit) {
			fc := e.Node("fc")
			e.Fuse(e.Node("relu"), "fc", autograd.LinearOp{}, fc.Inputs()...)
		}, "x fc.weight fc,x,fc.weight sigmoid,fc"},
		{"fuse under the name of the last", func(e *autograd.Edit) {
			e.Fuse(e.Node("relu"), "relu", autograd.LinearOp{}, e.Node("fc").Inputs()...)
		}, "x fc.weight relu,x,fc.weight sigmoid,relu"},
		{"rename", func(e *autograd.Edit) { e.Rename(e.Node("relu"), "act") },
			"x fc.weight fc,x,fc.weight act,fc sigmoid,act"},
		{"another output", func(e *autograd.Edit) { e.SetOutput("extra", e.Node("dead")) },
			"x fc.weight fc,x,fc.weight relu,fc dead,relu sigmoid,relu"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := chain(t)
			before := shape(g)
			h, err := g.Rewrite(func(e *autograd.Edit) error {
				tt.edit(e)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := shape(h); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if got := shape(g); got != before {
				t.Errorf("the original became %s", got)
			}
			for _, n := range h.Nodes() {
				if n.Graph() != h || h.Node(n.Name()) != n {
					t.Errorf("node %s is not found in its graph", n.Name())
				}
			}
			if _, err := h.Compile(autograd.CompileOptions{Batch: 1}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRewriteSharesParameters(t *testing.T) {
	g := chain(t)
	h, err := g.Rewrite(func(e *autograd.Edit) error {
		e.Tag(e.Node("fc"), "key", "value")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.Node("fc.weight").Param() != h.Node("fc.weight").Param() {
		t.Error("the copy has a parameter of its own")
	}
	if h.Node("fc").Tag("key") != "value" || g.Node("fc").Tag("key") != "" {
		t.Error("the tag is not on the copy alone")
	}
	again, err := h.Rewrite(func(*autograd.Edit) error { return nil })
	if err != nil || again.Node("fc").Tag("key") != "value" {
		t.Errorf("a second rewrite loses the tag (error %v)", err)
	}
}

func TestRewriteInfersTypesAgain(t *testing.T) {
	g := chain(t)
	h, err := g.Rewrite(func(e *autograd.Edit) error {
		w := e.Param("wide", autograd.Weight, autograd.Zeros(), 5, 3)
		e.SetInput(e.Node("fc"), 1, w)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Output("y").Type().String(); got != "[N 5]" {
		t.Errorf("the output is %s, want [N 5]", got)
	}
}

func TestRewriteMistakes(t *testing.T) {
	foreign := chain(t).Node("relu")
	tests := []struct {
		name string
		edit func(e *autograd.Edit) error
		want string
	}{
		{"cycle", func(e *autograd.Edit) error {
			e.SetInput(e.Node("fc"), 0, e.Node("relu"))
			return nil
		}, "depends on itself"},
		{"self", func(e *autograd.Edit) error {
			e.SetInput(e.Node("relu"), 0, e.Node("relu"))
			return nil
		}, "depends on itself"},
		{"types", func(e *autograd.Edit) error {
			e.SetInput(e.Node("fc"), 1, e.Param("w", autograd.Weight, nil, 3, 4))
			return nil
		}, "fc: linear [N 3] × [3 4]: 3 input features, weight has 4"},
		{"own error", func(*autograd.Edit) error { return errors.New("no rule matches") }, "no rule matches"},
		{"taken name", func(e *autograd.Edit) error {
			e.Rename(e.Node("relu"), "fc")
			return nil
		}, `two nodes are named "fc"`},
		{"no name", func(e *autograd.Edit) error { e.Rename(e.Node("relu"), ""); return nil }, "has no name"},
		{"operand", func(e *autograd.Edit) error { e.SetInput(e.Node("relu"), 1, e.Node("x")); return nil }, "no operand 1"},
		{"insert operand", func(e *autograd.Edit) error {
			e.InsertBefore(e.Node("relu"), -1, "n", autograd.ReLUOp{})
			return nil
		}, "no operand -1"},
		{"foreign replacement", func(e *autograd.Edit) error { e.Replace(e.Node("relu"), foreign); return nil }, "another graph"},
		{"foreign input", func(e *autograd.Edit) error { e.SetInput(e.Node("relu"), 0, foreign); return nil }, "another graph"},
		{"foreign operand", func(e *autograd.Edit) error { e.Add("n", autograd.ReLUOp{}, foreign); return nil }, "operand 0 is not a node of this graph"},
		{"foreign output", func(e *autograd.Edit) error { e.SetOutput("y", foreign); return nil }, "not of this graph"},
		{"nil replacement", func(e *autograd.Edit) error { e.Replace(e.Node("relu"), nil); return nil }, "nil"},
		{"nil tag", func(e *autograd.Edit) error { e.Tag(e.Node("nothing"), "k", "v"); return nil }, "nil"},
		{"nil rename", func(e *autograd.Edit) error { e.Rename(nil, "n"); return nil }, "nil"},
		{"nil insert", func(e *autograd.Edit) error { e.InsertBefore(nil, 0, "n", autograd.ReLUOp{}); return nil }, "nil"},
		{"nil insert after", func(e *autograd.Edit) error { e.InsertAfter(nil, "n", autograd.ReLUOp{}); return nil }, "not a node"},
		{"nil fuse", func(e *autograd.Edit) error { e.Fuse(nil, "n", autograd.ReLUOp{}); return nil }, "nil"},
		{"nil operation", func(e *autograd.Edit) error { e.SetOp(e.Node("relu"), nil, e.Node("fc")); return nil }, "no operation"},
		{"first mistake sticks", func(e *autograd.Edit) error {
			e.Rename(e.Node("relu"), "fc")
			e.Add("bad", autograd.AddOp{}, e.Node("x"))
			return nil
		}, `two nodes are named "fc"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := chain(t)
			before := shape(g)
			h, err := g.Rewrite(tt.edit)
			if h != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got graph %v and error %v, want an error about %q", h, err, tt.want)
			}
			if got := shape(g); got != before || g.Err() != nil {
				t.Errorf("the original became %s, error %v", got, g.Err())
			}
		})
	}
}

func TestEditFinds(t *testing.T) {
	_, err := chain(t).Rewrite(func(e *autograd.Edit) error {
		relu, fc := e.Node("relu"), e.Node("fc")
		if e.Only(fc) != relu {
			t.Error("relu is not found as the only reader of fc")
		}
		if e.Only(relu) != nil {
			t.Error("relu has two readers")
		}
		if n := e.Only(e.Node("sigmoid")); n != nil || !e.IsOutput(e.Node("sigmoid")) {
			t.Error("an output has a reader outside")
		}
		twice := e.Add("twice", autograd.AddOp{}, e.Node("dead"), e.Node("dead"))
		if e.Only(e.Node("dead")) != nil || len(e.Consumers(e.Node("dead"))) != 1 {
			t.Error("a node that reads twice is no only reader, but one consumer")
		}
		if e.Node("nothing") != nil || e.Only(twice) != nil {
			t.Error("found what is not there")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBuildingKeepsTheFirstMistake(t *testing.T) {
	g := autograd.NewGraph("bad")
	x := g.Input("x", autograd.Float32, 3, 8, 8)
	w := g.Param("w", autograd.Weight, autograd.Zeros(), 16, 8, 3, 3)
	y := autograd.Conv2D("stem.conv", x, w, nil, autograd.ConvAttrs{})
	z := autograd.ReLU("relu", autograd.Add("sum", y, x))
	g.SetOutput("y", z)
	autograd.Softmax("soft", nil)
	_, err := g.Compile(autograd.CompileOptions{Batch: 1})
	var ne *autograd.NodeError
	if !errors.As(err, &ne) || !errors.Is(err, autograd.ErrShape) || ne.Node != "stem.conv" || err != g.Err() {
		t.Errorf("got error %v, want that of stem.conv", err)
	}
	if !strings.HasPrefix(fmt.Sprint(err), "stem.conv: conv2d [N 3 8 8] × [16 8 3 3]: ") {
		t.Errorf("error %q does not show the node and the shapes", err)
	}
	if len(g.Nodes()) != 2 {
		t.Errorf("%d nodes were added, want the two before the mistake", len(g.Nodes()))
	}
}

func TestGraphMistakes(t *testing.T) {
	other := autograd.NewGraph("other").Input("x", autograd.Float32, 3)
	for name, build := range map[string]func(g *autograd.Graph){
		"same name":        func(g *autograd.Graph) { g.Input("x", autograd.Float32, 3); g.Input("x", autograd.Float32, 3) },
		"no name":          func(g *autograd.Graph) { g.Input("", autograd.Float32, 3) },
		"zero extent":      func(g *autograd.Graph) { g.Input("x", autograd.Float32, 3, 0, 3) },
		"negative extent":  func(g *autograd.Graph) { g.Param("w", autograd.Weight, nil, 3, -1) },
		"huge parameter":   func(g *autograd.Graph) { g.Param("w", autograd.Weight, nil, 1<<20, 1<<20, 1<<20, 1<<20) },
		"sample of rank 2": func(g *autograd.Graph) { g.Input("x", autograd.Float32, 3, 3) },
		"nil operation":    func(g *autograd.Graph) { g.Apply("y", nil, g.Input("x", autograd.Float32, 3)) },
		"foreign operand": func(g *autograd.Graph) {
			autograd.Add("y", g.Input("x", autograd.Float32, 3), other)
		},
		"foreign output": func(g *autograd.Graph) { g.SetOutput("y", other) },
		"nil output":     func(g *autograd.Graph) { g.SetOutput("y", nil) },
		"no output":      func(g *autograd.Graph) { g.Input("x", autograd.Float32, 3) },
		"huge input": func(g *autograd.Graph) {
			g.SetOutput("y", autograd.ReLU("y", g.Input("x", autograd.Float32, 1<<30, 1<<30, 1<<30)))
		},
	} {
		g := autograd.NewGraph("bad")
		build(g)
		if p, err := g.Compile(autograd.CompileOptions{Batch: 1}); err == nil || p != nil {
			t.Errorf("%s: compiled", name)
		} else if !errors.Is(err, autograd.ErrGraph) && !errors.Is(err, autograd.ErrShape) {
			t.Errorf("%s: error %v is of no kind", name, err)
		}
	}
	var none *autograd.Graph
	if _, err := none.Compile(autograd.CompileOptions{Batch: 1}); !errors.Is(err, autograd.ErrGraph) {
		t.Errorf("nil graph: error %v", err)
	}
}
