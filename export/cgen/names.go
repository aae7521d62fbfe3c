package cgen

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bitgrad/bitgrad/integer"
)

// maxPrefix leaves room within the 63 characters that tell names of C99 apart.
const maxPrefix = 40

// choosePrefix returns the prefix of all identifiers.
func choosePrefix(wanted, model string) (string, error) {
	if wanted == "" {
		wanted = strings.TrimLeft(sanitize(model, maxPrefix), "_0123456789")
		if wanted == "" {
			wanted = "model"
		}
		return wanted, nil
	}
	if len(wanted) > maxPrefix || sanitize(wanted, maxPrefix) != wanted || strings.IndexByte("_0123456789", wanted[0]) >= 0 {
		return "", fmt.Errorf("cgen: prefix %q: %w: letters, digits and underscores, a letter first, at most %d",
			wanted, ErrPrefix, maxPrefix)
	}
	return wanted, nil
}

// sanitize replaces what may not stand in an identifier and cuts the rest off.
func sanitize(s string, most int) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() == most {
			break
		}
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
	}
	return b.String()
}

// nodeIdentifier returns the name of the function of node i. The index keeps names
// apart that are alike in C.
func nodeIdentifier(prefix string, i int, name string) string {
	words := strings.FieldsFunc(sanitize(name, maxPrefix), func(r rune) bool { return r == '_' })
	return strings.TrimRight(fmt.Sprintf("%s_%d_%s", prefix, i, strings.Join(words, "_")), "_")
}

// comment returns text that neither ends a comment nor the line.
func comment(s string) string {
	s = strings.NewReplacer("*/", "* /", "/*", "/ *").Replace(s)
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\\' { // a backslash may join lines
			return '?'
		}
		return r
	}, s)
}

// quote returns s as a string literal of C.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\' || c == '?': // ?? begins a trigraph
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03o", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// A ctype is an integer type of C.
type ctype struct {
	bits   int // 8, 16, 32 or 64
	signed bool
}

// String returns the name of the type: "uint8_t".
func (t ctype) String() string {
	if t.signed {
		return fmt.Sprintf("int%d_t", t.bits)
	}
	return fmt.Sprintf("uint%d_t", t.bits)
}

// tag returns the number that stands for t in the generated program: its bytes, negative if
// it is signed.
func (t ctype) tag() int {
	if t.signed {
		return -t.bits / 8
	}
	return t.bits / 8
}

// storage returns the type that holds codes of the given width.
func storage(bits int, signed bool) ctype {
	for _, b := range [...]int{8, 16, 32} {
		if bits <= b {
			return ctype{b, signed}
		}
	}
	return ctype{64, signed}
}

// typeOf returns the type of the codes of n.
func typeOf(n *integer.Node) ctype { return storage(n.Out.Bits, n.Out.Signed) }

// An expander writes text in which $NAME stands for a word.
type expander struct {
	w interface {
		io.Writer
		io.StringWriter
	}
	words map[string]string
}

// text writes s. A dollar sign is followed by capitals.
func (e *expander) text(s string) {
	io.WriteString(e.w, os.Expand(s, func(word string) string {
		// os.Expand reads a whole identifier: $P_trace is the word P and a rest.
		name, rest := word, ""
		if i := strings.IndexByte(word, '_'); i >= 0 {
			name, rest = word[:i], word[i:]
		}
		return e.words[name] + rest
	}))
}
