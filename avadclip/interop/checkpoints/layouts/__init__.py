"""How the authors of published detectors lay out their state dicts: a file `<kind>.py` with one `LAYOUT` for each."""
