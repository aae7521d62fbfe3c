package cgen

import ("testing";"strings";"os";"strconv")

func TestSweep(t *testing.T) {
	cc := compiler(t)
	from, _ := strconv.Atoi(os.Getenv("FROM"))
	for s := uint64(from); s < uint64(from)+4; s++ {
		models, options, _ := drawModels(t, s, 80)
		dir := t.TempDir()
		out, status := run(t, build(t, cc, dir, "all", batch(t, dir, models, options), "-O1", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wno-conversion", "-Wno-sign-conversion", "-Werror", "-ffp-contract=off", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"))
		if status != 0 { t.Errorf("seed %d: %d models differ:\n%s", s, status, out) }
		if got := strings.Count(out, ", 0 differences"); got != len(models) { t.Errorf("%d of %d", got, len(models)) }
	}
}
