package archtest

import (
	"go/ast"
	"go/doc/comment"
	"go/scanner"
	"go/token"
	"path"
	"regexp"
	"strings"
)

// snippets: Go in a document or a doc comment is part of a file that compiles, token by
// token, comments apart. A line of nothing but dots leaves something out.
func snippets(t *tree, report reporter) {
	var compiled []string
	for _, s := range t.goFiles(true) {
		compiled = append(compiled, tokens(string(s.text)))
	}
	names := []string{}
	for _, pkg := range t.packages() {
		names = append(names, regexp.QuoteMeta(path.Base(pkg)))
	}
	looksLikeGo := regexp.MustCompile(`\b(` + strings.Join(names, "|") + `)\.[A-Z]\w*[({]|\w := `)
	check := func(where, code string) {
		for _, piece := range regexp.MustCompile(`(?m)^\s*\.\.\.$`).Split(code, -1) {
			found := false
			for _, text := range compiled {
				found = found || strings.Contains(text, tokens(piece))
			}
			if !found {
				first, _, _ := strings.Cut(strings.TrimSpace(piece), "\n")
				report(where, "no file that compiles has the snippet that begins with %q", first)
			}
		}
	}
	for _, s := range t.files {
		if path.Ext(s.path) == ".md" {
			for _, block := range fenced.FindAllStringSubmatch(string(s.text), -1) {
				if block[1] == "go" || block[1] == "" && looksLikeGo.MatchString(block[2]) {
					check(s.path, block[2])
				}
			}
		}
	}
	for _, s := range t.goFiles(false) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			group, ok := n.(*ast.CommentGroup)
			if !ok {
				return true
			}
			for _, block := range new(comment.Parser).Parse(group.Text()).Content {
				if code, ok := block.(*comment.Code); ok && looksLikeGo.MatchString(code.Text) {
					check(t.at(group), code.Text)
				}
			}
			return true
		})
	}
}

var fenced = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// tokens returns the Go tokens of a text with a space around each.
func tokens(text string) string {
	var b strings.Builder
	var s scanner.Scanner
	set := token.NewFileSet()
	s.Init(set.AddFile("", set.Base(), len(text)), []byte(text), nil, 0)
	b.WriteByte(' ')
	for {
		_, tok, literal := s.Scan()
		switch {
		case tok == token.EOF:
			return b.String()
		case tok == token.SEMICOLON && literal == "\n":
			continue
		case literal == "":
			literal = tok.String()
		}
		b.WriteString(literal)
		b.WriteByte(' ')
	}
}
