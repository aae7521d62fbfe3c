package fakequant

import (
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/layers"
)

// TestFrozenPhaseNeedsLessMemory compares the plan of a training step in the frozen phase with that of the
// float network.
func TestFrozenPhaseNeedsLessMemory(t *testing.T) {
	for name, net := range map[string]*layers.Net{"lenet": layers.LeNet(), "resnet8": layers.ResNet8(), "resnet20": layers.ResNet20()} {
		bytes := func(g *autograd.Graph, mode autograd.Mode) int {
			p, err := withLoss(t, g).Compile(autograd.CompileOptions{Mode: mode, Batch: 128})
			if err != nil {
				t.Fatal(err)
			}
			n, _ := p.Bytes()
			return n
		}
		float := bytes(net.Graph, autograd.Train)
		for spec, s := range map[string]Spec{"dfp:w8a8": DFP(8), "int8:w4a4": Int(4)} {
			q, _, err := Prepare(net.Graph, s)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range Quantizers(q) {
				for i := range k.scales.Value { // as if calibrated
					k.scales.Value[i] = 1
				}
			}
			frozen := bytes(q, autograd.Frozen)
			t.Logf("%s %s: %d bytes frozen, %d in float: %.2f", name, spec, frozen, float, float64(frozen)/float64(float))
			if frozen >= float {
				t.Errorf("%s %s: the frozen phase needs %d bytes, the float network %d", name, spec, frozen, float)
			}
		}
	}
}
