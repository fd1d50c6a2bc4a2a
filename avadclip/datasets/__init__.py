"""Video lists, labels and ground truth: the only place that knows a data set by name.

Adapters (`xd_violence`, `cctv_fights`, `table`) read what a data set ships with, :func:`avadclip.datasets.load.load`
picks one, :func:`avadclip.datasets.prepare.prepare` adds what only the files can tell. `manifest` and `ground_truth`
read and write the result; they import the standard library alone, so that evaluation starts quickly.
"""
