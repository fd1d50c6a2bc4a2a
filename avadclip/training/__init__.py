"""Features from the store -> trained detectors. A detector is known here by `avadclip.detectors.protocol` alone."""
