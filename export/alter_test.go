package export

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/integer"
)

// A constant is one number of one operation of a model: a weight, a shift, the end of
// a clamp, a stride.
type constant struct {
	node int
	path string // of the field: "Requant.Shift[2]"
	kind reflect.Kind
}

// constants lists every number in the exported fields of the operations.
func constants(m *integer.Model) []constant {
	var all []constant
	for i := range m.Nodes {
		visit(reflect.ValueOf(&m.Nodes[i].Op).Elem(), "", func(path string, v reflect.Value) {
			all = append(all, constant{i, path, v.Kind()})
		})
	}
	return all
}

// visit calls f for every number behind v. Everything on the way is copied first, so that
// f may set the number without touching the original.
func visit(v reflect.Value, path string, f func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		c := reflect.New(v.Elem().Type()).Elem()
		c.Set(v.Elem())
		visit(c, path, f)
		if v.Kind() == reflect.Pointer {
			c = c.Addr()
		}
		v.Set(c)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				visit(v.Field(i), strings.TrimPrefix(path+"."+field.Name, "."), f)
			}
		}
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range v.Len() {
			visit(c.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
		}
		if !v.IsNil() {
			v.Set(c)
		}
	case reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Float32:
		f(path, v)
	default:
		panic(fmt.Sprintf("a constant of kind %v at %s", v.Kind(), path))
	}
}

// copied returns an operation that shares no constant with op.
func copied(op integer.Op) integer.Op {
	visit(reflect.ValueOf(&op).Elem(), "", func(string, reflect.Value) {})
	return op
}

// A change alters one constant.
type change struct {
	name string
	set  func(v reflect.Value)
	ulp  bool // a float moves to its neighbour
}

// changes returns what a constant is altered to, one at a time.
func (c constant) changes() []change {
	plus := func(d int64) change {
		return change{name: fmt.Sprintf("%+d", d), set: func(v reflect.Value) { v.SetInt(v.Int() + d) }}
	}
	towards := func(name string, to float64) change {
		return change{name: name, ulp: true, set: func(v reflect.Value) {
			v.SetFloat(float64(math.Nextafter32(float32(v.Float()), float32(to))))
		}}
	}
	times := func(f float64) change {
		return change{name: fmt.Sprintf("·%v", f), set: func(v reflect.Value) { v.SetFloat(v.Float()*f + (f-1)/64) }}
	}
	switch c.kind {
	case reflect.Bool:
		return []change{{name: "not", set: func(v reflect.Value) { v.SetBool(!v.Bool()) }}}
	case reflect.Uint8: // one of three rules, or of the first three roundings
		return []change{{name: "next", set: func(v reflect.Value) { v.SetUint((v.Uint() + 1) % 3) }},
			{name: "last", set: func(v reflect.Value) { v.SetUint((v.Uint() + 2) % 3) }}}
	case reflect.Float32:
		return []change{towards("an ulp up", math.Inf(1)), towards("an ulp down", math.Inf(-1)), times(1.125), times(0.875)}
	}
	return []change{plus(1), plus(-1)}
}

// altered returns the operation with one constant changed.
func (c constant) altered(m *integer.Model, ch change) integer.Op {
	op := m.Nodes[c.node].Op
	visit(reflect.ValueOf(&op).Elem(), "", func(path string, v reflect.Value) {
		if path == c.path {
			ch.set(v)
		}
	})
	return op
}

// swapped returns the model with another operation at a node, behind the back of the
// builder: nothing is checked.
func swapped(m *integer.Model, node int, op integer.Op) *integer.Model {
	c := *m
	c.Nodes = slices.Clone(m.Nodes)
	c.Nodes[node].Op = op
	return &c
}

// rebuilt returns the model with edited nodes, as the builder makes it.
func rebuilt(m *integer.Model, edit func(i int, n *integer.Node)) (*integer.Model, error) {
	b := integer.NewBuilder(m.Name)
	refs := make([]integer.Ref, len(m.Nodes))
	for i, n := range m.Nodes {
		edit(i, &n)
		in := make([]integer.Ref, len(n.In))
		for k, j := range n.In {
			in[k] = refs[j]
		}
		refs[i] = add(b, n.Name, n.Op, in)
		if b.Err() != nil {
			return nil, b.Err()
		}
	}
	c, _, err := b.Build(refs[m.Output])
	return c, err
}

func add(b *integer.Builder, name string, op integer.Op, in []integer.Ref) integer.Ref {
	switch p := op.(type) {
	case *integer.Input:
		return b.Input(name, *p)
	case *integer.InputFloat:
		return b.InputFloat(name, *p)
	case *integer.Conv:
		return b.Conv(name, in[0], *p)
	case *integer.Linear:
		return b.Linear(name, in[0], *p)
	case *integer.Add:
		return b.Add(name, in[0], in[1], *p)
	case *integer.Multiply:
		return b.Multiply(name, in[0], in[1], *p)
	case *integer.MaxPool:
		return b.MaxPool(name, in[0], *p)
	case *integer.AvgPool:
		return b.AvgPool(name, in[0], *p)
	case *integer.Concat:
		return b.Concat(name, in, *p)
	case *integer.Pad:
		return b.Pad(name, in[0], *p)
	case *integer.Slice:
		return b.Slice(name, in[0], *p)
	case *integer.Reshape:
		return b.Reshape(name, in[0], *p)
	case *integer.Table:
		return b.Table(name, in[0], *p)
	case *integer.Requantize:
		return b.Requantize(name, in[0], *p)
	}
	panic(fmt.Sprintf("an operation of type %T", op))
}

func TestVisitCopies(t *testing.T) {
	op := integer.Op(&integer.Linear{O: 3, Weight: []int32{1, 2}, Bias: []int64{7}})
	m := &integer.Model{Nodes: []integer.Node{{Op: op}}}
	paths := map[string]bool{}
	for _, c := range constants(m) {
		paths[c.path] = true
		for _, ch := range c.changes() {
			if other := c.altered(m, ch); reflect.DeepEqual(other, op) {
				t.Errorf("%s, %s: nothing is altered", c.path, ch.name)
			}
		}
	}
	want := &integer.Linear{O: 3, Weight: []int32{1, 2}, Bias: []int64{7}}
	if !reflect.DeepEqual(op, integer.Op(want)) {
		t.Errorf("the original is now %+v", op)
	}
	for _, p := range []string{"O", "Weight[0]", "Weight[1]", "Bias[0]", "WeightGrid.BitWidth", "WeightGrid.ZeroPoint", "Grid.Narrow"} {
		if !paths[p] {
			t.Errorf("no constant %s, only %v", p, paths)
		}
	}
}
