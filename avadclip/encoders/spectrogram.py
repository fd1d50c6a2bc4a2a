"""Sound -> the spectrogram that Wav2CLIP takes. Without torch, so that decode workers start quickly."""

import librosa
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
N_FFT = 512  # 32 ms
HOP = 353  # samples, 22 ms
N_BINS = N_FFT // 2 + 1


def spectrogram(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log power spectrogram of one window, standardised to mean 0 and deviation 1.

    Parameters
    ----------
    samples : float32 [n], mono, 16 kHz, at least 512 (32 ms).

    Returns
    -------
    float32 [257, 1 + n // 353]; all (nearly) zero if the window is silent.

    Raises
    ------
    ValueError : fewer than 512 samples.

    Notes
    -----
    Wav2CLIP's released code standardises a whole batch at once, which makes a feature depend on its neighbours. This
    equals the released code with a batch of one.
    """
    if len(samples) < N_FFT:
        raise ValueError(f"a window needs at least {N_FFT} samples, found {len(samples)}")
    spectrum = librosa.stft(samples, n_fft=N_FFT, hop_length=HOP, window="hann", center=True, pad_mode="reflect")
    # float64, because silence is constant, and the division would amplify the rounding errors of float32.
    log_power = np.log(np.abs(spectrum).astype(np.float64) ** 2 + 1e-7)
    standardised: NDArray[np.float64] = (log_power - log_power.mean()) / (log_power.std(ddof=1) + 1e-9)
    return standardised.astype(np.float32)
