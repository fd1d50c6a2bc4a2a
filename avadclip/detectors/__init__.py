"""The paper as code. Tensors in, tensors out: nothing here knows of feature files, data sets or training.

To be read with the paper in the other hand: `temporal` and `audio` (sec. III-B), `fusion` (III-C), `text` and
`branches` (III-D), `losses` (III-E), `student` (III-F); `audio_visual` and `student` put the parts together.
`interface` is what the rest of the library sees of a detector, `build` makes one, `checkpoint` saves and loads one.
"""
