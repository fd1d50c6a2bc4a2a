"""Every detector, one file per `kind`. Tensors in, tensors out: nothing here depends on data sets or training.

`protocol` is the interface of a detector, `registry` finds one by its kind, `settings` has the settings that all share,
`inference` scores one video, `description` and `checkpoint` save and load. All other files are detectors;
docs/detectors.md says how to add one.

AVadCLIP is best read with the paper at hand: `temporal` and `temporal_convolutions` (sec. III-B), `fusion` (III-C),
`text` and `branches` (III-D) and `losses` (III-E), all of them in `parts`, and `student` (III-F); `audio_visual` and
`student` combine the parts. docs/method.md has the formulas and every switch.
"""
