package archtest

import (
	"bytes"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A rule reports what breaks it.
type rule struct {
	name  string
	check func(t *tree, report reporter)
}

type reporter func(where, format string, args ...any)

var rules = []rule{
	{"listed", listed},
	{"floors", floors},
	{"dependencies", usedWhereDue},
	{"package comment", packageComment},
	{"documented", documented},
	{"panics", panicsAllowed},
	{"silent", silent},
	{"goroutines", fanOut},
	{"words", words},
	{"length", length},
	{"snippets", snippets},
}

// listed: every package has its place.
func listed(t *tree, report reporter) {
	for _, pkg := range t.packages() {
		if _, ok := floorOf(pkg); !ok && !matches(helpers, pkg) {
			report(pkg, "the package is not in the table of floors")
		}
	}
}

// floors: a package imports from the floors below it, helpers from tests.
func floors(t *tree, report reporter) {
	for _, s := range t.goFiles(false) {
		imports := s.imports()
		for _, importPath := range slices.Sorted(maps.Keys(imports)) {
			pkg, ok := strings.CutPrefix(importPath, module+"/")
			if !ok {
				continue
			}
			where := t.at(imports[importPath])
			if matches(helpers, s.pkg) {
				continue
			}
			if matches(helpers, pkg) {
				report(where, "%s imports %s, which only tests may", s.pkg, pkg)
				continue
			}
			from, ok := floorOf(s.pkg)
			to, listed := floorOf(pkg)
			switch {
			case !ok: // reported by listed
			case !listed:
				report(where, "%s imports %s, which is not in the table of floors", s.pkg, pkg)
			case to == from:
				report(where, "%s imports %s: neighbours on floor %d never import one another", s.pkg, pkg, from)
			case to > from:
				report(where, "%s on floor %d imports %s on floor %d", s.pkg, from, pkg, to)
			}
			for _, n := range narrow {
				if n.pkg == s.pkg && !slices.Contains(n.imports, pkg) {
					report(where, "%s imports %s: %s", s.pkg, pkg, n.why)
				}
			}
		}
	}
}

// usedWhereDue: dependencies are known and used where their purpose is.
func usedWhereDue(t *tree, report reporter) {
	for _, s := range t.goFiles(true) {
		imports := s.imports()
		for _, importPath := range slices.Sorted(maps.Keys(imports)) {
			where := t.at(imports[importPath])
			if why, ok := forbidden[importPath]; ok {
				report(where, "imports %s: %s", importPath, why)
				continue
			}
			first, _, _ := strings.Cut(importPath, "/")
			if !strings.Contains(first, ".") || match(module+"/...", importPath) {
				continue
			}
			var d *dependency
			for i := range dependencies {
				if match(dependencies[i].path+"/...", importPath) {
					d = &dependencies[i]
				}
			}
			floor, _ := floorOf(s.pkg)
			switch {
			case d == nil:
				report(where, "imports %s, which is not in the table of dependencies", importPath)
			case s.test || matches(helpers, s.pkg):
			case floor < d.floor:
				report(where, "%s on floor %d imports %s: deployed programs link floors 0 to %d and need no more than slices", s.pkg, floor, importPath, deployed)
			case d.packages != nil && !matches(d.packages, s.pkg):
				report(where, "%s imports %s, which is for %s", s.pkg, importPath, d.why)
			}
		}
	}
}

// packageComment: each package says once what it is.
func packageComment(t *tree, report reporter) {
	for _, pkg := range t.packages() {
		comments := 0
		for _, s := range t.goFiles(false) {
			if s.pkg != pkg || s.ignored() {
				continue
			}
			text := s.ast.Doc.Text()
			if text == "" {
				continue
			}
			comments++
			if want := "Package " + s.ast.Name.Name + " "; !s.program() && !strings.HasPrefix(text, want) {
				report(t.at(s.ast.Doc), "the package comment does not begin with %q", want)
			}
		}
		switch comments {
		case 1:
		case 0:
			report(pkg, "the package has no package comment")
		default:
			report(pkg, "the package has %d package comments", comments)
		}
	}
}

// selfEvident are methods of the standard library's interfaces.
var selfEvident = []string{"Error", "Unwrap", "Is", "String"}

// documented: whatever is public has a doc comment.
func documented(t *tree, report reporter) {
	for _, s := range t.goFiles(false) {
		if s.program() || s.ignored() {
			continue
		}
		for _, decl := range s.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Doc.Text() != "" || !d.Name.IsExported() {
					continue
				}
				if d.Recv == nil {
					report(t.at(d), "%s has no doc comment", d.Name.Name)
				} else if r := receiver(d); ast.IsExported(r) && !slices.Contains(selfEvident, d.Name.Name) {
					report(t.at(d), "%s.%s has no doc comment", r, d.Name.Name)
				}
			case *ast.GenDecl:
				if d.Doc.Text() != "" && d.Tok != token.TYPE {
					continue // one comment may speak for a group of constants
				}
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						alone := !d.Lparen.IsValid() && d.Doc.Text() != ""
						if spec.Name.IsExported() && spec.Doc.Text() == "" && !alone {
							report(t.at(spec), "%s has no doc comment", spec.Name.Name)
						}
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							if name.IsExported() && spec.Doc.Text() == "" && spec.Comment.Text() == "" {
								report(t.at(spec), "%s has no doc comment", name.Name)
							}
						}
					}
				}
			}
		}
	}
}

// panicsAllowed: a panic states a broken invariant of an internal package, or
// has a reason in the list of exceptions.
func panicsAllowed(t *tree, report reporter) {
	used := make([]bool, len(t.panics))
	for _, s := range t.goFiles(false) {
		s.calls(func(call *ast.CallExpr, in string) {
			if pkg, name := s.called(call); pkg != "" || name != "panic" {
				return
			}
			allowed, anyText := strings.HasPrefix(s.pkg, "internal/"), false
			for i, p := range t.panics {
				if ok, _ := path.Match(p.pattern, s.path+": "+in); ok {
					allowed, anyText, used[i] = true, anyText || p.anyText, true
				}
			}
			prefix := s.ast.Name.Name + ": "
			switch {
			case !allowed:
				report(t.at(call), "panic in a public package, in %s: return an error", in)
			case !anyText && (len(call.Args) != 1 || !strings.HasPrefix(leading(call.Args[0]), prefix)):
				report(t.at(call), "the panic's text does not begin with %q", prefix)
			}
		})
	}
	for i, p := range t.panics {
		if !used[i] {
			report(p.pattern, "no panic matches this exception")
		}
	}
}

// leading returns the constant text that a string expression begins with: of
// a literal, a sum, or a call whose first argument is a format.
func leading(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value) // "" for a number
		return text
	case *ast.BinaryExpr:
		return leading(e.X)
	case *ast.ParenExpr:
		return leading(e.X)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && len(e.Args) > 0 && slices.Contains([]string{"Sprintf", "Sprint", "Errorf", "New"}, f.Sel.Name) {
			return leading(e.Args[0])
		}
	}
	return ""
}

// silent: library code returns errors; it does not log, print, exit or ask
// the environment.
func silent(t *tree, report reporter) {
	for _, s := range t.goFiles(false) {
		if s.program() {
			continue
		}
		imports := s.imports()
		for _, importPath := range []string{"log", "log/slog"} {
			if spec, ok := imports[importPath]; ok {
				report(t.at(spec), "library code imports %s", importPath)
			}
		}
		s.calls(func(call *ast.CallExpr, _ string) {
			pkg, name := s.called(call)
			switch full := path.Base(pkg) + "." + name; {
			case pkg == "" && (name == "print" || name == "println"),
				pkg == "fmt" && strings.HasPrefix(name, "Print"):
				report(t.at(call), "library code prints")
			case pkg == "os" && name == "Exit":
				report(t.at(call), "library code calls os.Exit")
			case slices.Contains([]string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv"}, full) && !matches(environment, s.pkg):
				report(t.at(call), "library code calls %s", full)
			}
		})
	}
}

// fanOut: goroutines start where they are accounted for.
func fanOut(t *tree, report reporter) {
	for _, s := range t.goFiles(false) {
		if matches(goroutines, s.pkg) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				report(t.at(n), "%s starts a goroutine: use internal/parallel", s.pkg)
			case *ast.CallExpr: // sync.WaitGroup.Go, errgroup.Group.Go
				if pkg, name := s.called(n); pkg == "?" && name == "Go" && len(n.Args) == 1 {
					report(t.at(n), "%s starts a goroutine: use internal/parallel", s.pkg)
				}
			}
			return true
		})
	}
}

// unfinished is put together so that this file does not hold the words.
var unfinished = regexp.MustCompile(`\b(` + "TO" + "DO|FIX" + `ME)\b`)

// words: nothing in the tree is left for later.
func words(t *tree, report reporter) {
	for _, s := range t.files {
		for i, line := range bytes.Split(s.text, []byte("\n")) {
			if word := unfinished.Find(line); word != nil {
				report(s.path+":"+strconv.Itoa(i+1), "the line says %s", word)
			}
		}
	}
}

// length: a file fits into a reader's head, unless a program wrote it.
func length(t *tree, report reporter) {
	for _, s := range t.goFiles(true) {
		lines := bytes.Count(s.text, []byte("\n"))
		if lines > maxLines && !ast.IsGenerated(s.ast) {
			report(s.path, "%d lines, more than %d", lines, maxLines)
		}
	}
}
