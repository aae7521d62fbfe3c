package train

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// describe writes a value as text that is the same in every process: types with
// their names, what pointers point to, no addresses. It identifies the settings
// of an optimizer, which hold interfaces and pointers, in a checkpoint.
func describe(v any) string {
	var b strings.Builder
	describeValue(&b, reflect.ValueOf(v), 0)
	return b.String()
}

// describeDepth ends the description of values that contain themselves.
const describeDepth = 16

func describeValue(b *strings.Builder, v reflect.Value, depth int) {
	if depth > describeDepth {
		b.WriteString("…")
		return
	}
	switch v.Kind() {
	case reflect.Invalid:
		b.WriteString("nil")
	case reflect.Pointer, reflect.Interface:
		describeValue(b, v.Elem(), depth+1)
	case reflect.Struct:
		b.WriteString(v.Type().String() + "{")
		for i := range v.NumField() {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(v.Type().Field(i).Name + ":")
			describeValue(b, v.Field(i), depth+1)
		}
		b.WriteByte('}')
	case reflect.Slice, reflect.Array:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(' ')
			}
			describeValue(b, v.Index(i), depth+1)
		}
		b.WriteByte(']')
	case reflect.Map:
		var entries []string
		for it := v.MapRange(); it.Next(); {
			var e strings.Builder
			describeValue(&e, it.Key(), depth+1)
			e.WriteByte(':')
			describeValue(&e, it.Value(), depth+1)
			entries = append(entries, e.String())
		}
		slices.Sort(entries)
		b.WriteString("map[" + strings.Join(entries, " ") + "]")
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		b.WriteString(v.Type().String())
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default: // numbers and truth values
		fmt.Fprint(b, v)
	}
}
