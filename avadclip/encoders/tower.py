"""What the image tower and the audio tower share: a frozen network on one device, in one precision."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avadclip.config.features import Precision
from avadclip.errors import FeatureError


class Tower:
    """A frozen network as a function from a prepared batch to float16 features."""

    def __init__(self, network: nn.Module, precision: Precision, device: torch.device) -> None:
        self.device = device
        self._dtype: torch.dtype = getattr(torch, precision)
        # Cast once, instead of autocast, which casts all weights again in every pass (slower than float32 on a CPU).
        self._network = network.to(device, self._dtype)

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> NDArray[np.float16]:
        """One forward pass: floating [n, ...] -> float16 [n, width].

        Raises
        ------
        FeatureError : a feature is not finite, or too large for float16.
        """
        features: Tensor = self._network(batch.to(self.device, self._dtype)).to(torch.float16)
        if not features.isfinite().all():
            raise FeatureError(
                f"{type(self._network).__name__} in {self._dtype} on {self.device}: features are not finite; "
                "try `precision: float32`, and check the weights"
            )
        return features.cpu().numpy()
