// Package methods finds types by their methods in the source of a package. Tests
// use it to demand that nothing of a kind is left out.
package methods

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// Types returns the types in the Go files of dir, its tests apart, that have all
// of the given methods.
func Types(dir string, methods ...string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && slices.Contains(methods, fn.Name.Name) {
				found[receiver(fn.Recv.List[0].Type)]++
			}
		}
	}
	var names []string
	for name, n := range found {
		if n == len(methods) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
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
