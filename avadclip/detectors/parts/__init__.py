"""What several detectors share, one idea per file. Tensors in, tensors out."""
