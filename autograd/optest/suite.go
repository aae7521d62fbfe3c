package optest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
)

// A Suite is the cases of one package, added by the files that test its
// operations. The zero Suite is empty.
type Suite struct{ cases []Case }

// Add adds cases. Files call it from init.
func (s *Suite) Add(c ...Case) { s.cases = append(s.cases, c...) }

// Run checks every case in a subtest of its name.
func (s *Suite) Run(t *testing.T) {
	for _, c := range s.cases {
		t.Run(strings.ReplaceAll(c.Name, " ", "_"), func(t *testing.T) { Check(t, c) })
	}
}

// Missing returns the operations in the Go files of dir that no case builds:
// types with the methods Infer and Bind. Tests of the package do not count as
// its files.
func (s *Suite) Missing(dir string) ([]string, error) {
	covered := map[string]bool{}
	for _, c := range s.cases {
		g, _, _, _ := c.graph()
		for _, n := range g.Nodes() {
			if n.Op() != nil {
				typ := reflect.TypeOf(n.Op())
				if typ.Kind() == reflect.Pointer {
					typ = typ.Elem()
				}
				covered[typ.Name()] = true
			}
		}
	}
	ops, err := operations(dir)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, op := range ops {
		if !covered[op] {
			missing = append(missing, op)
		}
	}
	return missing, nil
}

// Complete fails for every operation in dir without a case.
func (s *Suite) Complete(t *testing.T, dir string) {
	t.Helper()
	missing, err := s.Missing(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range missing {
		t.Errorf("operation %s has no case: add one to the suite", op)
	}
}

func operations(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	methods := map[string]int{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && (fn.Name.Name == "Infer" || fn.Name.Name == "Bind") {
				methods[receiver(fn.Recv.List[0].Type)]++
			}
		}
	}
	var ops []string
	for name, n := range methods {
		if n == 2 {
			ops = append(ops, name)
		}
	}
	sort.Strings(ops)
	return ops, nil
}

func receiver(e ast.Expr) string {
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}
