package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A contender is a program that times one kind of step and takes turns with others.
type contender struct {
	// name is unique within a heat: "torch lsq w4a4 compiled channels_last".
	name string
	ours bool
	argv []string
	env  []string
}

// A heat is what is compared with one another: one mode of one network.
type heat struct {
	net, mode  string
	contenders []contender
}

// Scripts of other frameworks, and the Python that each runs in.
const (
	torchScript = "torch_step.py"
	onnxScript  = "onnx_step.py"
	tfScript    = "tf_step.py"
	noScript    = "" // gorgonia, which is in this program and has one network
)

// A peer is a configuration of another framework.
type peer struct {
	name   string
	script string
	args   string // besides those that all have; begins with the mode
}

// ourSteps lists what of Bitgrad stands in a heat; a name is what follows "bitgrad".
var ourSteps = map[string][]struct{ name, args string }{
	"float": {
		{"float batch", "float --phase batch"},
	},
	"qat": {
		{"float batch", "float --phase batch"}, // what quantization costs
		{"qat w8a8 batch", "qat --phase batch"},
		{"qat w8a8 observe", "qat --phase observe"},
		{"qat w8a8 frozen", "qat --phase frozen"},
		{"lsq w8a8 batch", "lsq --phase batch"},
		{"lsq w8a8 frozen", "lsq --phase frozen"},
		{"lsq w4a4 batch", "lsq --phase batch --quant int8:w4a4"},
		{"lsq w4a4 frozen", "lsq --phase frozen --quant int8:w4a4"},
		{"dfp w8a8 batch", "lsq --phase batch --quant dfp:w8a8"},
		{"dfp w8a8 frozen", "lsq --phase frozen --quant dfp:w8a8"},
	},
	"infer": {{"infer", "infer"}},
	"int8":  {{"int8 w8a8", "int8"}, {"int8 dfp", "int8 --quant dfp:w8a8"}},
}

// peers lists what of the others stands in a heat.
var peers = map[string][]peer{
	"float": {
		{"torch eager", torchScript, "float"},
		{"torch eager channels_last", torchScript, "float --channels-last"},
		{"torch compiled", torchScript, "float --compile"},
		{"torch compiled channels_last", torchScript, "float --compile --channels-last"},
		{"torch compiled channels_last bf16", torchScript, "float --compile --channels-last --bf16"},
		{"tensorflow", tfScript, "float"},
		{"gorgonia", noScript, "float"},
	},
	"qat": {
		{"torch qat eager", torchScript, "qat"},
		{"torch qat eager channels_last", torchScript, "qat --channels-last"},
		{"torch qat compiled channels_last", torchScript, "qat --compile --channels-last"},
		{"torch qat-pt2e eager", torchScript, "qat-pt2e"},
		{"torch qat-pt2e compiled", torchScript, "qat-pt2e --compile"},
		{"torch lsq w8a8 compiled", torchScript, "lsq --compile"},
		{"torch lsq w8a8 compiled channels_last", torchScript, "lsq --compile --channels-last"},
		{"torch lsq w4a4 compiled", torchScript, "lsq --bits 4 --compile"},
		{"torch lsq w4a4 compiled channels_last", torchScript, "lsq --bits 4 --compile --channels-last"},
		{"brevitas w4a4", torchScript, "brevitas --bits 4"},
		{"nncf", torchScript, "nncf"},
		{"tfmot", tfScript, "qat"},
	},
	"infer": {
		{"torch eager channels_last", torchScript, "infer --channels-last"},
		{"torch compiled channels_last", torchScript, "infer --compile --channels-last"},
		{"onnxruntime", onnxScript, "infer"},
		{"openvino", onnxScript, "infer --engine openvino"},
		{"litert", tfScript, "infer"},
	},
	"int8": {
		{"torch int8", torchScript, "int8"},
		{"torch int8-pt2e compiled", torchScript, "int8-pt2e --compile"},
		{"onnxruntime u8s8", onnxScript, "int8"},
		{"onnxruntime s8s8", onnxScript, "int8 --signed"},
		{"openvino", onnxScript, "int8 --engine openvino"},
		{"litert", tfScript, "int8"},
	},
}

// heats are the modes in their order.
var heats = []string{"float", "qat", "infer", "int8"}

// contenders returns those of a heat, in a fixed order.
func (c *compareCommand) contenders(net, mode, self string) heat {
	h := heat{net: net, mode: mode}
	common := []string{"--net", net, "--batch", strconv.Itoa(c.Batch), "--threads", strconv.Itoa(c.Threads), "--serve"}
	for _, o := range ourSteps[mode] {
		argv := append([]string{self, "step"}, common...)
		h.contenders = append(h.contenders, contender{name: "bitgrad " + o.name, ours: true,
			argv: append(append(argv, "--mode"), strings.Fields(o.args)...), env: os.Environ()})
	}
	for _, p := range peers[mode] {
		python, env := c.Python, cleanEnvironment(os.Environ())
		switch p.script {
		case noScript:
			if net == "lenet" {
				h.contenders = append(h.contenders, contender{name: p.name, argv: append(append([]string{self, "gorgonia"}, common...), "--mode", p.args), env: os.Environ()})
			}
			continue
		case tfScript:
			python = c.TFPython
		case torchScript:
			if c.Preload != "" {
				env = append(env, "LD_PRELOAD="+c.Preload)
			}
		}
		argv := append([]string{python, filepath.Join(c.Peers, p.script)}, common...)
		h.contenders = append(h.contenders, contender{name: p.name,
			argv: append(append(argv, "--mode"), strings.Fields(p.args)...), env: env})
	}
	return h
}

// cleanEnvironment leaves out what would choose kernels or threads for a library; it
// shall do so by itself. Limits that a user sets on purpose, such as
// ONEDNN_MAX_CPU_ISA, stay.
func cleanEnvironment(env []string) []string {
	clean := []string{"NNCF_EXTENSION_LOAD_TIMEOUT=0"} // it may compile for as long as it takes
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "OPENBLAS_") && !strings.HasPrefix(name, "OMP_") && !strings.HasPrefix(name, "MKL_") && name != "LD_PRELOAD" {
			clean = append(clean, e)
		}
	}
	return clean
}

// tcmalloc returns the allocator that makes PyTorch train faster, "" where it is not
// installed.
func tcmalloc() string {
	const name = "libtcmalloc_minimal.so.4"
	for _, folder := range []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"} {
		if path := filepath.Join(folder, name); exists(path) {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
