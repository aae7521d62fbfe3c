package files_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bitgrad/bitgrad/internal/files"
)

func Example() {
	parent, err := os.MkdirTemp("", "runs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	run, err := files.NextRun(parent)
	if err != nil {
		fmt.Println(err)
		return
	}
	path := filepath.Join(run, "model.safetensors")
	bias := files.FromInt32s("conv1.bias", []int{3}, []int32{-7, 0, 1 << 20})
	if err := files.SaveSafetensors(path, []files.Tensor{bias}, map[string]string{"scheme": "dfp"}); err != nil {
		fmt.Println(err)
		return
	}
	file, err := files.LoadSafetensors(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	values, err := file.Int32s("conv1.bias")
	fmt.Println(filepath.Base(run), values, file.Metadata()["scheme"], file.Sealed(), err)
	// Output: 001 [-7 0 1048576] dfp true <nil>
}
