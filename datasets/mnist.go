package datasets

import (
	"fmt"
	"path/filepath"
	"strings"
)

// mnistSource is where MNIST comes from and where it is looked for.
var mnistSource = source{
	dataset: "mnist",
	from:    "https://ossci-datasets.s3.amazonaws.com/mnist/ (a mirror of yann.lecun.com/exdb/mnist)",
	folders: []string{"mnist", "MNIST/raw", "MNIST", "raw", "."},
	skip:    isFashion,
}

// fashionSource is where Fashion-MNIST comes from. Its files are named like
// those of MNIST, so a folder counts only if it says "fashion".
var fashionSource = source{
	dataset: "fashion-mnist",
	from:    "https://github.com/zalandoresearch/fashion-mnist",
	folders: []string{"fashion-mnist", "fashion_mnist", "fashion", "FashionMNIST/raw", "FashionMNIST", "raw", "."},
	skip:    func(dir string) bool { return !isFashion(dir) },
}

// isFashion reports whether the name of a folder, or of the folder around one
// called "raw", says so.
func isFashion(dir string) bool {
	if full, err := filepath.Abs(dir); err == nil {
		dir = full
	}
	if filepath.Base(dir) == "raw" {
		dir = filepath.Dir(dir)
	}
	return strings.Contains(strings.ToLower(filepath.Base(dir)), "fashion")
}

func openMNIST(dir string) (*Splits, error) {
	return openIDX(dir, mnistSource, Info{
		Name: "mnist", Classes: 10, Mean: []float32{33.3184}, Std: []float32{78.5675},
		ClassNames: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
	})
}

func openFashion(dir string) (*Splits, error) {
	return openIDX(dir, fashionSource, Info{
		Name: "fashion-mnist", Classes: 10, Mean: []float32{72.9404}, Std: []float32{90.0212},
		ClassNames: []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
	})
}

// openIDX opens the four files of a set in the format of MNIST. The last 5,000
// of its 60,000 training images, or the same share of another number, validate.
func openIDX(dir string, src source, info Info) (*Splits, error) {
	var paths [4]string
	for i, name := range []string{"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"} {
		dotted := strings.Replace(name, "-idx", ".idx", 1)
		path, err := src.find(dir, append(variants(name), variants(dotted)...)...)
		if err != nil {
			return nil, err
		}
		paths[i] = path
	}
	all, err := FromIDX(info, paths[0], paths[1])
	if err != nil {
		return nil, err
	}
	if info.Mean == nil {
		mean, std, err := Moments(all)
		if err != nil {
			return nil, err
		}
		if all, err = WithNormalization(all, mean, std); err != nil {
			return nil, err
		}
	}
	info = all.Info()
	held := max(info.N/12, 1)
	if held >= info.N {
		return nil, malformed(paths[0], "dimension 0", fmt.Sprintf("%d images", info.N), "at least 2")
	}
	s := &Splits{}
	if s.Train, err = Subset(all, 0, info.N-held); err != nil {
		return nil, err
	}
	if s.Valid, err = Subset(all, info.N-held, info.N); err != nil {
		return nil, err
	}
	if s.Test, err = FromIDX(info, paths[2], paths[3]); err != nil {
		return nil, err
	}
	if t := s.Test.Info(); t.H != info.H || t.W != info.W {
		return nil, malformed(paths[2], "dimensions", fmt.Sprintf("images %d×%d", t.H, t.W), "%d×%d as in %s", info.H, info.W, paths[0])
	}
	return s, nil
}
