"""Layouts of the state dicts of published detectors: one file `<kind>.py` with a `LAYOUT` for each."""
