package archtest

const module = "github.com/bitgrad/bitgrad"

// A place is the floor of the packages that pattern names. "a/b" names one
// package, "a/..." the package a and all below it.
type place struct {
	pattern string
	floor   int
}

// house lists every package of the module from the bottom up. A package
// imports only from floors below its own.
var house = []place{
	{"quant", 0},
	{"internal/cpu", 0},
	{"internal/files", 0},
	{"internal/glob", 0},
	{"internal/host", 0},
	{"internal/hugepages", 0},
	{"internal/parallel", 0},

	{"internal/kernels", 1},

	{"integer", 2},

	{"autograd", 3},

	{"layers", 4},
	{"fakequant", 4},
	{"optim", 4},
	{"datasets", 4},
	{"internal/document", 4},

	{"train", 5},
	{"export", 5},
	{"netfile", 5},

	{"export/caffe", 6},
	{"export/cgen", 6},
	{"export/onnx", 6},
	{"export/tflite", 6},
	{"interop/gorgonia", 6},
	{"report", 6},
	{"search", 6},

	{"internal/measure", 7},
	{"recipe", 7},

	{"bench/...", 8},
	{"cmd/...", 8},
	{"examples/...", 8},
}

// helpers serve tests: test files import them, and so may other helpers.
var helpers = []string{
	"autograd/optest",
	"internal/archtest",
	"internal/methods",
	"internal/randomgraph",
}

// narrow lists packages that may import less of the module than their floor
// allows.
var narrow = []struct {
	pkg     string
	imports []string
	why     string
}{
	{"internal/kernels", []string{"quant", "internal/cpu", "internal/parallel"},
		"kernels are loops over slices: they know the numeric law, the processor and the workers"},
}

// A dependency is a module of others and where it may be used.
type dependency struct {
	path     string   // the import path, or a prefix of it up to a slash
	floor    int      // the lowest floor that may use it
	packages []string // patterns; nil means every package from floor upward
	why      string
}

// anyFloor is for dependencies that are bound by their packages alone.
const anyFloor = 0

// deployed is the highest floor that a deployed integer model links. Nothing
// up to here needs a tensor library.
const deployed = 2

// dependencies lists all there are; one that is not here fails.
var dependencies = []dependency{
	{"golang.org/x/sys", anyFloor, []string{"internal/cpu", "internal/kernels", "internal/hugepages", "internal/measure", "cmd/..."}, "processor features and system calls"},
	{"golang.org/x/image", deployed + 1, []string{"datasets", "report"}, "fonts for synthetic digits"},
	{"gorgonia.org/tensor", deployed + 1, nil, "parameters, batches and codes at public edges"},
	{"gonum.org/v1/gonum", deployed + 1, nil, "statistics, optimisation, float64 references"},
	{"gonum.org/v1/plot", deployed + 1, []string{"report"}, "pictures"},
	{"gorgonia.org/gorgonia", deployed + 1, []string{"interop/gorgonia", "bench/..."}, "graphs that people already have; the peer in benchmarks"},
	{"go4.org/unsafe/assume-no-moving-gc", deployed + 1, []string{"autograd", "interop/gorgonia", "bench/..."}, "keeps gorgonia from refusing today's Go; tests only in autograd"},
	{"github.com/schollz/progressbar/v3", deployed + 1, []string{"train", "recipe", "cmd/..."}, "progress on a terminal"},
	{"google.golang.org/protobuf", deployed + 1, []string{"export/onnx", "export/caffe"}, "wire format"},
	{"github.com/google/flatbuffers/go", deployed + 1, []string{"export/tflite"}, "wire format"},
	{"go.yaml.in/yaml/v3", deployed + 1, []string{"internal/document", "netfile", "recipe"}, "configurations and descriptions of networks"},
	{"github.com/alecthomas/kong", deployed + 1, []string{"cmd/...", "bench/..."}, "flags"},
	{"github.com/google/go-cmp", anyFloor, []string{}, "tests"},
	{"pgregory.net/rapid", anyFloor, []string{}, "tests"},
}

// forbidden imports, in tests too.
var forbidden = map[string]string{
	"math/rand":             "use math/rand/v2, which a seed makes reproducible without a global source",
	"C":                     "plain go build builds everything, on every system",
	"github.com/pkg/errors": "use errors and fmt.Errorf",
}

// goroutines lists the packages that may start goroutines.
var goroutines = []string{"internal/parallel", "datasets", "cmd/...", "bench/..."}

// environment lists the packages that may read the environment, besides
// programs.
var environment = []string{"internal/cpu", "internal/kernels"}

// A panicky function may panic. Without an entry only internal packages may,
// in the form panic("pkg: …").
type panicky struct {
	pattern string // "file: function", as path.Match has it
	anyText bool   // the text need not begin with "pkg: "
	why     string
}

// panics lists the exceptions. One that matches nothing fails.
var panics = []panicky{
	{"*/*.go: *.Bind", false, "Bind returns no error: Infer, which runs before it, has refused what cannot be bound"},
	{"autograd/optest/*.go: Array.index", false, "as for any slice; only tests have an Array"},
	{"internal/parallel/*.go: shared.finish", true, "hands on the panic of a worker to whoever waits for it"},
}

// maxLines is the most that a file may have; most have far fewer.
const maxLines = 700
