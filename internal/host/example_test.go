package host_test

import (
	"fmt"

	"github.com/bitgrad/bitgrad/internal/host"
)

func Example() {
	fmt.Println(host.Processor(), host.PeakRSS()>>20, "MiB")
}
