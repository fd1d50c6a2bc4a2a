"""Features from the store -> trained detectors. Detectors are used only through `avadclip.detectors.protocol`."""
