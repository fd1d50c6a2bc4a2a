"""The authors' released features, lists and checkpoints, in and out (WanshunSu/AVadCLIP at d3f6e16, Apache-2.0).

`import_features` puts their .npy files in the place of videos, `export_features` writes the same layout from a store,
and `checkpoints` turns their .pth files into a detector. Facts about formats only: no code is taken over.
"""
