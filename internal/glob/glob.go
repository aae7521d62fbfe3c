// Package glob matches the dotted names of nodes and parameters, and finds the
// names that a misspelt one may have meant.
//
// A pattern is a name in which * stands for any run of characters, dots
// included, and ? for exactly one character. Everything else stands for
// itself, so every string is a valid pattern and matching cannot fail. Names
// are paths, but no character separates them for a pattern: "stage1.*" matches
// everything below stage1, "*.bn.*" every parameter and statistic of a batch
// norm, and "*" everything.
//
//	match := glob.Match("stage?.*.conv1", "stage2.block0.conv1") // true
//	near := glob.Nearest("conv3", []string{"conv1", "fc1"})      // [conv1]
package glob

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Match reports whether the whole name matches the pattern. It takes time
// proportional to len(pattern)·len(name) at worst and allocates nothing.
func Match(pattern, name string) bool {
	// Only the last star needs to be taken back: a longer run for an earlier
	// one could not match anything that this one cannot.
	p, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		if p < len(pattern) {
			switch c := pattern[p]; {
			case c == '*':
				star, mark = p, n
				p++
				continue
			case c == '?':
				_, k := utf8.DecodeRuneInString(name[n:])
				p, n = p+1, n+k
				continue
			case c == name[n]:
				p, n = p+1, n+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, k := utf8.DecodeRuneInString(name[mark:])
		mark += k
		p, n = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Any reports whether the pattern matches at least one of the names.
func Any(pattern string, names []string) bool {
	for _, n := range names {
		if Match(pattern, n) {
			return true
		}
	}
	return false
}

// offered is how many names Nearest returns at most.
const offered = 3

// Nearest returns up to three candidates that name, which may be a pattern,
// may have meant, the closest first and equally close ones in the order given.
// Closeness is the number of characters to insert, drop, replace or swap with
// a neighbour; upper and lower case are the same letter, and the stars of a
// pattern cost nothing to drop. A candidate is left out where that takes more
// than a third of the longer name, so the result may be empty.
func Nearest(name string, candidates []string) []string {
	want := fold(strings.ReplaceAll(name, "*", ""))
	type scored struct {
		name     string
		distance int
	}
	var found []scored
	seen := map[string]bool{}
	for _, c := range candidates {
		if seen[c] {
			continue
		}
		seen[c] = true
		have := fold(c)
		d := distance(want, have)
		if d <= (max(len(want), len(have))+2)/3 {
			found = append(found, scored{c, d})
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].distance < found[j].distance })
	var names []string
	for _, f := range found[:min(len(found), offered)] {
		names = append(names, f.name)
	}
	return names
}

// Hint returns the names that [Nearest] offers as the tail of an error message,
// `; nearest: "conv1", "conv2"`, or the empty string where it offers none.
func Hint(name string, candidates []string) string {
	near := Nearest(name, candidates)
	if len(near) == 0 {
		return ""
	}
	quoted := make([]string, len(near))
	for i, n := range near {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return "; nearest: " + strings.Join(quoted, ", ")
}

func fold(s string) []rune { return []rune(strings.ToLower(s)) }

// distance is the optimal string alignment distance: insertions, deletions,
// replacements and swaps of neighbours, each of cost 1.
func distance(a, b []rune) int {
	// Rows i-2, i-1 and i of the table whose entry (i,j) is the distance of
	// a[:i] and b[:j].
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			row[j] = d
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
