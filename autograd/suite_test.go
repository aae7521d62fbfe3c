package autograd_test

import (
	"testing"

	"github.com/bitgrad/bitgrad/autograd/optest"
)

// suite holds the cases of all operations; the file that tests an operation
// adds its cases in init.
var suite optest.Suite

func TestOperations(t *testing.T) { suite.Run(t) }

func TestEveryOperationHasACase(t *testing.T) { suite.Complete(t, ".") }
