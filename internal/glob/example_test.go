package glob_test

import (
	"fmt"

	"github.com/bitgrad/bitgrad/internal/glob"
)

func Example() {
	match := glob.Match("stage?.*.conv1", "stage2.block0.conv1") // true
	near := glob.Nearest("conv3", []string{"conv1", "fc1"})      // [conv1]
	fmt.Println(match, near)
	// Output: true [conv1]
}
