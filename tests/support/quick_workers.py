"""The libraries that decode workers load before their first video, imported once.

Librosa alone takes three seconds. `tests.support.warm` starts a process that has imported this module, and every
worker is a fork of it; neither the project nor torch is imported here.
"""

import contextlib
from importlib import import_module

import librosa
import numpy as np

for name in ("av", "h5py", "pydantic.root_model", "ruamel.yaml", "scipy.signal"):
    import_module(name)
with contextlib.suppress(ImportError):  # not installed on every machine
    import_module("decord")

librosa.stft(np.zeros(512, np.float32), n_fft=512)  # librosa loads most of itself on first use
