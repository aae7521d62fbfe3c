package autograd

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// overlaps returns two blocks that share memory while both are alive.
func overlaps(blocks []*block) (a, b *block) {
	for i, a := range blocks {
		for _, b := range blocks[:i] {
			alive := a.first <= b.last && b.first <= a.last
			if alive && a.off < b.off+b.bytes && b.off < a.off+a.bytes {
				return a, b
			}
		}
	}
	return nil, nil
}

func drawBlocks(t *rapid.T) []*block {
	n := rapid.IntRange(0, 40).Draw(t, "blocks")
	blocks := make([]*block, n)
	for i := range blocks {
		first := rapid.IntRange(0, 50).Draw(t, "first")
		blocks[i] = &block{
			bytes: alignment * rapid.IntRange(1, 20).Draw(t, "size"),
			first: first,
			last:  first + rapid.IntRange(0, 30).Draw(t, "life"),
			off:   -1,
		}
	}
	return blocks
}

func TestLiveBlocksNeverOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := drawBlocks(t)
		size := place(blocks)
		if a, b := overlaps(blocks); a != nil {
			t.Fatalf("%+v and %+v overlap", *a, *b)
		}
		sum, end := 0, 0
		for _, b := range blocks {
			if b.off < 0 || b.off%alignment != 0 {
				t.Fatalf("offset %d", b.off)
			}
			sum += b.bytes
			end = max(end, b.off+b.bytes)
		}
		if size != end || size > sum {
			t.Fatalf("size %d, blocks end at %d and need %d in all", size, end, sum)
		}
	})
}

func TestPlacementIsNotTheSum(t *testing.T) {
	// Each block dies when the next but one is born: two fit the life of all.
	var blocks []*block
	for i := range 10 {
		blocks = append(blocks, &block{bytes: 640, first: i, last: i + 1})
	}
	if size := place(blocks); size != 1280 {
		t.Errorf("size %d, want 1280", size)
	}
}

// TestOverlapIsSeen proves that the check above can fail.
func TestOverlapIsSeen(t *testing.T) {
	blocks := []*block{{bytes: 128, first: 0, last: 3}, {bytes: 64, first: 3, last: 5, off: 64}}
	if a, _ := overlaps(blocks); a == nil {
		t.Error("blocks that overlap at tick 3 pass")
	}
	blocks[1].first = 4
	if a, _ := overlaps(blocks); a != nil {
		t.Error("blocks that never live together fail")
	}
}

// TestProgramsAreLaidOutSoundly checks the plan of a whole program against the
// rules the steps rely on.
func TestProgramsAreLaidOutSoundly(t *testing.T) {
	g := NewGraph("net")
	x := g.Input("x", Float32, 2, 6, 6)
	w := g.Param("w", Weight, HeNormal(), 4, 2, 3, 3)
	h := ReLU("relu", Conv2D("conv", x, w, nil, ConvAttrs{Pad: Same(3)}))
	v := g.Param("v", Weight, HeNormal(), 4, 4, 3, 3)
	k := Conv2D("conv2", h, v, nil, ConvAttrs{Pad: Same(3)})
	sum := Add("sum", k, h)
	g.SetOutput("loss", MeanSquaredError("loss", Tanh("tanh", sum), sum))
	p, err := g.Compile(CompileOptions{Mode: Train, Batch: 2, Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := overlaps(p.plan.all); a != nil {
		t.Errorf("%+v and %+v overlap", *a, *b)
	}
	at := func(name string) int { return p.find(name) }
	back := func(name string) int { return 2*len(p.drafts) - 1 - at(name) }
	if b := p.plan.value[at("x")]; b.first != 0 || b.last != 2*len(p.drafts) {
		t.Errorf("the input lives from %d to %d, want always", b.first, b.last)
	}
	// conv2 needs relu for its weight's gradient, relu itself its output.
	if b := p.plan.value[at("relu")]; b.last != back("relu") {
		t.Errorf("relu lives to %d, want %d", b.last, back("relu"))
	}
	// ReLU works in place, so conv has no block of its own.
	if p.plan.value[at("conv")] != p.plan.value[at("relu")] {
		t.Error("relu has memory of its own")
	}
	// relu has two readers, so sum may take over conv2's memory but not relu's;
	// tanh reads its input in Backward, which keeps it from working in place.
	if p.plan.value[at("sum")] != p.plan.value[at("conv2")] || p.plan.value[at("tanh")] == p.plan.value[at("sum")] {
		t.Error("sum or tanh share the wrong memory")
	}
	if p.plan.border[at("relu")] != Same(3) || p.plan.border[at("conv")] != Same(3) {
		t.Error("the border of relu is not that of the memory it shares")
	}
}

func TestProgramsBeyondMemoryAreRefused(t *testing.T) {
	g := NewGraph("huge")
	x := g.Input("x", Float32, 1000, 1000, 1000)
	g.SetOutput("y", x)
	for _, batch := range []int{0, -1, 1 << 20, 1 << 30} {
		p, err := g.Compile(CompileOptions{Batch: batch})
		if p != nil || !errors.Is(err, ErrGraph) && !errors.Is(err, ErrShape) {
			t.Errorf("batch %d: error %v", batch, err)
		}
	}
	g = NewGraph("huge border")
	x = g.Input("x", Float32, 1, 1, 1)
	g.SetOutput("y", MaxPool("y", x, PoolAttrs{}))
	g.SetOutput("z", Conv2D("z", x, g.Param("w", Weight, nil, 1, 1, 1, 1), nil,
		ConvAttrs{StrideH: 1 << 30, StrideW: 1 << 30, Pad: Border{1 << 30, 1 << 30, 1 << 30, 1 << 30}}))
	if p, err := g.Compile(CompileOptions{Batch: 1}); p != nil || err == nil {
		t.Error("a frame of 2^30 on every side was planned")
	}
}
