// Package datasets reads images and serves them in batches, in an order and
// with changes that depend on nothing but a seed.
//
// A [Dataset] has two methods: what it holds, and reading samples into a reused
// [Batch]. There are many kinds: synthetic [Digits], drawn on the spot; MNIST,
// Fashion-MNIST and CIFAR-10 in the files of their own sites; slices or tensors
// of your own ([FromPixels], [FromFloats], [FromDense]); and whatever implements
// Dataset, as Shapes does in examples/custom. [Open] finds the first three by
// name and splits them into training, validation and test.
//
// Slices and tensors come in as [N C H W]; a Batch holds [N H W C], the order
// in which a compiled program reads. Pixels stay uint8 in 0…255: the network
// normalizes them, (p − mean)/std, in the same table that quantizes them, and
// [Info] says with which mean and standard deviation.
//
// A [Loader] cuts a data set into batches. The order of an epoch is a function
// of (seed, epoch), the augmentation of a sample one of (seed, epoch, sample):
// no number of threads, no interruption and no batch size changes them. While
// one batch is in use the next is being prepared; no batch allocates.
//
//	data, err := datasets.Open("digits", "")
//	if err != nil {
//		return err
//	}
//	loader, err := datasets.NewLoader(data.Train, datasets.LoaderOptions{Batch: 64, Shuffle: true, Seed: 1})
//	if err != nil {
//		return err
//	}
//	for epoch := range 3 {
//		for batch, err := range loader.Epoch(ctx, epoch, 0) {
//			if err != nil {
//				return err
//			}
//			step(batch.Pixels, batch.Labels)
//		}
//	}
package datasets
