"""Released checkpoints: `state_dict` reads one safely, `names` (AVadCLIP) or `published` (others) translates its names,
`adopt` makes a detector from it.
"""
