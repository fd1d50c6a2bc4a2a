"""Released features of XD-Violence: `lists` and `files` say what there is, `prepare` and `modality` take it in.

`adopt` puts the files in place, `export` writes the same layout from a store.
"""
