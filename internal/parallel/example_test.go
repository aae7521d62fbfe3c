package parallel_test

import (
	"fmt"

	"github.com/bitgrad/bitgrad/internal/parallel"
)

func scale(row []float64, by float64) {
	for i := range row {
		row[i] *= by
	}
}

func Example() {
	rows := [][]float64{{1, 2}, {3}, {}, {4, 5, 6}}
	pool := parallel.New(4)
	defer pool.Close()
	pool.Run(len(rows), func(worker, i int) { scale(rows[i], 2) })
	fmt.Println(rows)
	// Output: [[2 4] [6] [] [8 10 12]]
}
