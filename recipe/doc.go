// Package recipe does the whole job: one configuration document in, one run
// directory out.
//
// A [Config] says what is trained on what and how. [Start] creates the directory
// of the run and goes through its stages; [Resume] continues one that was
// stopped. The stages are an ordered list of plain functions:
//
//	float      train in floating point            float.safetensors
//	calibrate  put quantizers in, find ranges     calibrated.safetensors
//	finetune   train on integers                  quantized.safetensors
//	lower      make the integer model, prove it   model.safetensors
//	verify     compare every code                 verify.json
//	export     write other formats                export/
//	report     measure, sum up                    result.json
//
// A stage reads what it needs from the files of the stages before it, writes its
// own file under a temporary name and renames it, and only then counts as done
// in progress.json. So a run that was killed at any moment continues to the same
// bytes. What determines the result is in config.yaml; threads, paths, times and
// the processor are in run.json and determine nothing.
//
//	c, err := recipe.Default("digits")
//	if err != nil {
//		return err
//	}
//	c.Quant = "dfp:w4a8"
//	...
//	result, err := recipe.Start(ctx, c, recipe.Options{Log: os.Stderr})
//	if err != nil {
//		return err
//	}
//	return result.WriteTable(os.Stdout)
package recipe
