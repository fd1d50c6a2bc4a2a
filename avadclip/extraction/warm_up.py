"""What the first task of a worker would wait for, done before there is one: the libraries of each modality."""

from collections.abc import Iterator

import numpy as np

from avadclip.encoders.spectrogram import N_FFT, spectrogram
from avadclip.media.decord_reader import decord_available, import_decord


def pictures() -> Iterator[None]:
    """A task: import what decodes pictures."""
    if decord_available():
        import_decord()
    yield None


def sound() -> Iterator[None]:
    """A task: import what makes spectrograms (librosa loads itself, and numba, when it is first used)."""
    spectrogram(np.zeros(N_FFT, np.float32))
    yield None
