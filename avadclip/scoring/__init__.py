"""Run detectors over videos and write score files. `scores` is the file format, and needs no torch."""
