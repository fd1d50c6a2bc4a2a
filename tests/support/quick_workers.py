"""What workers that decode load before their first video, imported once.

Librosa alone takes three seconds of a processor. `tests.support.warm` starts a process that has imported this module,
and every worker is a fork of it; none of the project is here, and no torch.
"""

import contextlib
from importlib import import_module

import librosa
import numpy as np

for name in ("av", "h5py", "pydantic.root_model", "ruamel.yaml", "scipy.signal"):
    import_module(name)
with contextlib.suppress(ImportError):  # not on every machine
    import_module("decord")

librosa.stft(np.zeros(512, np.float32), n_fft=512)  # loads most of itself when it is first used
