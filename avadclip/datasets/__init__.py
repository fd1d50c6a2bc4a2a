"""Video lists, labels and ground truth: the only package that knows a data set by name.

Adapters (`xd_violence`, `cctv_fights`, `table`) read what a data set ships with, :func:`avadclip.datasets.load.load`
chooses one, :func:`avadclip.datasets.prepare.prepare` adds what is known from the files only. `manifest` and
`ground_truth` read and write the result; they import only the standard library, so that evaluation starts quickly.
"""
