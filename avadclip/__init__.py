"""AVadCLIP: weakly supervised audio-visual video anomaly detection on frozen CLIP features."""
