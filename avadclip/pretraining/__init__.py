"""Training of small CLIP-like encoders: those of the demo world, and an audio encoder from unlabelled videos."""
