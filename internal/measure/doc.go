// Package measure times steps of training and inference, and tells where their time
// goes.
//
// A [Config] names a network, a mode and a phase; [New] makes a [Job] of it, with
// weights and images that a formula gives, so that two programs, or two frameworks,
// measure the same numbers. [Job.Time] runs it, [Job.Profile] runs it node by node,
// and [Measure] finds the limits of the machine that the nodes are compared with.
//
//	job, err := measure.New(ctx, measure.Config{Net: "resnet20conv", Mode: measure.QAT, Phase: measure.Frozen, Batch: 128})
//	if err != nil {
//		return err
//	}
//	defer job.Close()
//	timing, err := job.Time(ctx, measure.Limit{Seconds: 6})
//	if err != nil {
//		return err
//	}
//	fmt.Println(timing.ImagesPerSecond())
package measure
