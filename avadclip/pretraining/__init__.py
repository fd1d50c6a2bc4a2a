"""Training of small CLIP-like encoders: for the demo world, and an audio encoder for anybody's unlabelled videos."""
