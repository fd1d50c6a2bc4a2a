"""What the image tower and the audio tower share: a frozen network on one device, in one precision."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avadclip.config.features import Precision
from avadclip.errors import FeatureError


def computes_natively(precision: Precision, device: torch.device) -> bool:
    """Whether this device multiplies in `precision`. Others compute in float32 with values rounded to `precision`."""
    if precision == "float32" or device.type != "cpu":
        return True
    kernels = torch.ops.mkldnn
    return bool(kernels._is_mkldnn_bf16_supported() if precision == "bfloat16" else kernels._is_mkldnn_fp16_supported())


class Tower:
    """A frozen network as a function from a prepared batch to float16 features."""

    def __init__(self, network: nn.Module, precision: Precision, device: torch.device) -> None:
        self.device = device
        self._precision: torch.dtype = getattr(torch, precision)
        # A processor without instructions for it emulates each product, eight times slower than float32 computes it.
        self._computed_in = self._precision if computes_natively(precision, device) else torch.float32
        # Cast once, instead of autocast, which casts all weights again in every pass (slower than float32 on a CPU).
        self._network = network.to(device, self._precision).to(self._computed_in)

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> NDArray[np.float16]:
        """One forward pass: floating [n, ...] -> float16 [n, width].

        Raises
        ------
        FeatureError : a feature is not finite, or too large for float16.
        """
        rounded = batch.to(self.device, self._precision).to(self._computed_in)
        features: Tensor = self._network(rounded).to(torch.float16)
        if not features.isfinite().all():
            raise FeatureError(
                f"{type(self._network).__name__} in {self._precision} on {self.device}: features are not finite; "
                "try `precision: float32`, and check the weights"
            )
        return features.cpu().numpy()
