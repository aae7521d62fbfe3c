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
	if err := roundTrip(path); err != nil {
		fmt.Println(err)
	}
	fmt.Println(filepath.Base(run))
	// Output:
	// [-7 0 1048576] dfp true
	// 001
}

func roundTrip(path string) error {
	bias := files.FromInt32s("conv1.bias", []int{3}, []int32{-7, 0, 1 << 20})
	err := files.SaveSafetensors(path, []files.Tensor{bias}, map[string]string{"scheme": "dfp"})
	if err != nil {
		return err
	}
	file, err := files.LoadSafetensors(path)
	if err != nil {
		return err
	}
	values, err := file.Int32s("conv1.bias")
	fmt.Println(values, file.Metadata()["scheme"], file.Sealed())
	return err
}
