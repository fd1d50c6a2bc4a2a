"""Released checkpoints: `state_dict` reads one safely, `names` translates it, `adopt` makes a detector of it."""
