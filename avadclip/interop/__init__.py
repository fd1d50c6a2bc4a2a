"""Import and export of the authors' features, lists and checkpoints (WanshunSu/AVadCLIP at d3f6e16, Apache-2.0).

`import_features` uses their .npy files instead of videos, `export_features` writes the same layout from a store, and
`checkpoints` turns their .pth files into a detector. Only facts about formats are used: no code is taken over.
"""
