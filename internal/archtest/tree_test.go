package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// A tree is the parsed module.
type tree struct {
	files  []*source // sorted by path
	fset   *token.FileSet
	panics []panicky // exceptions
	found  []violation
}

// A source is a file of the module. Of a file that is not Go, or does not
// parse, only path and text are set.
type source struct {
	path string // slash-separated, relative to the module's root
	pkg  string // the directory of path
	test bool
	text []byte
	ast  *ast.File // nil if there is none
}

// A violation is a broken rule.
type violation struct {
	rule, where, what string
}

func (v violation) String() string { return v.where + ": " + v.what }

// load parses the module in fsys. Directories that the go command ignores and
// modules inside the module are left out.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == "." {
				return nil
			}
			base := entry.Name()
			if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
				return fs.SkipDir
			}
			if _, err := fs.Stat(fsys, path.Join(name, "go.mod")); err == nil {
				return fs.SkipDir
			}
			return nil
		}
		switch path.Ext(name) {
		case ".go", ".s", ".md":
		default:
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		s := &source{path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), text: text}
		t.files = append(t.files, s)
		if path.Ext(name) == ".go" {
			file, err := parser.ParseFile(t.fset, name, text, parser.ParseComments)
			if err != nil {
				t.found = append(t.found, violation{"parse", name, err.Error()})
				return nil
			}
			s.ast = file
		}
		return nil
	})
	return t, err
}

// check applies all rules and returns what breaks them.
func (t *tree) check() []violation {
	for _, r := range rules {
		r.check(t, func(where, format string, args ...any) {
			t.found = append(t.found, violation{r.name, where, fmt.Sprintf(format, args...)})
		})
	}
	return t.found
}

// at returns where in its file a node is.
func (t *tree) at(node ast.Node) string {
	position := t.fset.Position(node.Pos())
	return fmt.Sprintf("%s:%d", position.Filename, position.Line)
}

// goFiles returns the files that parsed, with test files or without.
func (t *tree) goFiles(tests bool) []*source {
	var files []*source
	for _, s := range t.files {
		if s.ast != nil && (tests || !s.test) {
			files = append(files, s)
		}
	}
	return files
}

// packages returns the directories with Go files.
func (t *tree) packages() []string {
	set := map[string]bool{}
	for _, s := range t.goFiles(true) {
		set[s.pkg] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// program reports whether the file belongs to a command.
func (s *source) program() bool { return s.ast.Name.Name == "main" }

// ignored reports whether a build constraint keeps the file out of its
// package altogether, as that of a generator.
func (s *source) ignored() bool {
	header, _, _ := bytes.Cut(s.text, []byte("\npackage "))
	return bytes.Contains(header, []byte("//go:build ignore"))
}

// imports returns the import paths of the file.
func (s *source) imports() map[string]*ast.ImportSpec {
	specs := map[string]*ast.ImportSpec{}
	for _, spec := range s.ast.Imports {
		specs[strings.Trim(spec.Path.Value, "`\"")] = spec
	}
	return specs
}

// calls visits the calls of the file with the function around each, such as
// "Grid.Quantize", or "" outside of functions.
func (s *source) calls(visit func(call *ast.CallExpr, in string)) {
	for _, decl := range s.ast.Decls {
		in := ""
		if f, ok := decl.(*ast.FuncDecl); ok {
			in = f.Name.Name
			if f.Recv != nil && len(f.Recv.List) > 0 {
				in = receiver(f) + "." + in
			}
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				visit(call, in)
			}
			return true
		})
	}
}

// receiver returns the name of the type that f is a method of.
func receiver(f *ast.FuncDecl) string {
	expr := f.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// called returns the import path and the name that a call refers to: ("os",
// "Exit") for os.Exit(1), whatever os is imported as, and ("", "panic") for
// panic(x).
func (s *source) called(call *ast.CallExpr) (pkg, name string) {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return "", f.Name
	case *ast.SelectorExpr:
		x, ok := f.X.(*ast.Ident)
		if !ok {
			return "?", f.Sel.Name
		}
		for importPath, spec := range s.imports() {
			local := path.Base(importPath)
			if spec.Name != nil {
				local = spec.Name.Name
			}
			if x.Name == local {
				return importPath, f.Sel.Name
			}
		}
		return "?", f.Sel.Name
	}
	return "?", ""
}

// matches reports whether a pattern of the list names the package.
func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, pkg) })
}

func match(pattern, pkg string) bool {
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	}
	return pattern == pkg
}

// floorOf returns the floor of a package, or false if it is not in the house.
func floorOf(pkg string) (int, bool) {
	for _, p := range house {
		if match(p.pattern, pkg) {
			return p.floor, true
		}
	}
	return 0, false
}
