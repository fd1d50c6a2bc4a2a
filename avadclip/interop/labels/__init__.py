"""Import and export of temporal labels of other programs: one file per format, and `convert` for all of them."""
