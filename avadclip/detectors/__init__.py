"""Every detector, one file a `kind`. Tensors in, tensors out: nothing here knows of data sets or of training.

`protocol` is what the rest of the library sees of a detector, `registry` finds one by its kind, `settings` is what
each can be set to, `inference` scores one video, `description` and `checkpoint` save and load. All other files are
detectors; docs/detectors.md says how to add one.

AVadCLIP is to be read with the paper in the other hand: `temporal` and `temporal_convolutions` (sec. III-B), `fusion`
(III-C), `text` and `branches` (III-D) and `losses` (III-E), all of them in `parts`, and `student` (III-F);
`audio_visual` and `student` put the parts together. docs/method.md has the formulas and every switch.
"""
