"""Detectors over videos -> score files. `scores` is the file itself, and needs no torch."""
