"""Timelines of single videos, as in figures 4 to 6 of the paper. The only part of evaluation that needs matplotlib."""
