"""Import the libraries of each modality before the first task of a worker, which would wait for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from avadclip.config.features import Modality
from avadclip.encoders.spectrogram import N_FFT, spectrogram
from avadclip.media.decord_reader import decord_available, import_decord


def warm_up(modalities: Sequence[Modality]) -> Iterator[None]:
    """A task: import what decodes these modalities."""
    for modality in modalities:
        _IMPORTS[modality]()
    yield None


def _pictures() -> None:
    if decord_available():
        import_decord()


def _sound() -> None:
    """Librosa imports its parts, and numba, when it is first used."""
    spectrogram(np.zeros(N_FFT, np.float32))


_IMPORTS: Mapping[Modality, Callable[[], None]] = {"visual": _pictures, "audio": _sound}
