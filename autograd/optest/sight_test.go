package optest

import (
	"fmt"
	"testing"
)

func TestBlindCasesAreFound(t *testing.T) {
	s := sight{}
	look := func(operand string, grad ...float64) { s.look("LayerOp", operand, narrow(grad), grad, 1e-4) }
	look("x", 0, 0, 0)
	look("w", 0, 0, 0)
	look("w", 1, 2, 3) // one case is enough
	look("b", 1, 1, 1)
	look("range", 5)
	want := "[no case of LayerOp would see a wrong order in the gradient of b no case of LayerOp would see a wrong sign in the gradient of x]"
	if got := fmt.Sprint(s.blind()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
