"""Temporal labels of other programs, in and out: one file a format, and `convert` for all of them."""
