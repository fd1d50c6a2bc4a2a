"""What workers that decode load before their first video, imported once.

Librosa alone takes three seconds of a processor. `tests.support.warm` starts a process that has imported this module,
and every worker is a fork of it; none of the project is here, and no torch.
"""

import contextlib

import av  # noqa: F401
import h5py  # noqa: F401
import librosa
import numpy as np
import pydantic.root_model  # noqa: F401
import ruamel.yaml  # noqa: F401
import scipy.signal  # noqa: F401

with contextlib.suppress(ImportError):  # not on every machine
    import decord  # noqa: F401

librosa.stft(np.zeros(512, np.float32), n_fft=512)  # loads most of itself when it is first used
