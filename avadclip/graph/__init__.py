"""What dvc.yaml cannot say by itself: which code each stage, and each variant of it, runs."""
