"""What several detectors share, one idea a file. Tensors in, tensors out."""
