"""What the image tower and the audio tower share: a frozen network on its devices, in one precision.

A GPU works in parallel to this process: batches are started before the features of earlier ones are awaited, and are
copied to it while it computes.
"""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avadclip.config.features import Precision
from avadclip.errors import ConfigError, FeatureError

AHEAD = 2  # batches: one that is computed and one that has been copied

Passes = Callable[[Tensor], Iterable[Tensor]]  # a batch on the device -> the inputs of the network, pass by pass
Begun = Callable[[], NDArray[np.float16]]  # waits for features [n, width]


def computes_natively(precision: Precision, device: torch.device) -> bool:
    """Whether this device multiplies in `precision`. Others compute in float32 with values rounded to `precision`."""
    if precision == "float32" or device.type != "cpu":
        return True
    kernels = torch.ops.mkldnn
    return bool(kernels._is_mkldnn_bf16_supported() if precision == "bfloat16" else kernels._is_mkldnn_fp16_supported())


class Tower:
    """A frozen network as a function from a batch to float16 features, on one device or several of one kind.

    Attributes
    ----------
    ahead : batches to begin before waiting for the first.
    """

    def __init__(self, network: nn.Module, precision: Precision, devices: Sequence[torch.device]) -> None:
        networks = [network, *(copy.deepcopy(network) for _ in devices[1:])]
        replicas = zip(networks, devices, strict=True)
        self._replicas = deque(_Replica(each, precision, device) for each, device in replicas)
        self.ahead = sum(device.type != "cpu" for device in devices) * AHEAD

    def begin(self, batch: NDArray[np.generic], passes: Passes) -> Begun:
        """Begin one batch; of several devices, on the one whose latest batch is the oldest.

        Parameters
        ----------
        passes : called with the batch on the device; its tensors, floating [n, ...], go through the network one after
            the other, and the features of all are joined.

        Raises
        ------
        ConfigError : the batch needs more memory than the device has.
        FeatureError : a feature is not finite, or too large for float16; raised when the features are awaited.
        """
        self._replicas.rotate(-1)
        return self._replicas[-1].begin(batch, passes)


class _Replica:
    """The network on one device."""

    def __init__(self, network: nn.Module, precision: Precision, device: torch.device) -> None:
        self._device = device
        self._precision: torch.dtype = getattr(torch, precision)
        # A CPU without instructions for it emulates each product, which is eight times slower than float32.
        self._computed_in = self._precision if computes_natively(precision, device) else torch.float32
        # Cast once, instead of autocast, which casts all weights again in every pass (slower than float32 on a CPU).
        self._network = network.to(device, self._precision).to(self._computed_in)
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def begin(self, batch: NDArray[np.generic], passes: Passes) -> Begun:
        try:
            with torch.inference_mode(), _the_same_every_time(self._device):
                given = [self._features(each) for each in passes(self._upload(torch.from_numpy(batch)))]
                arrive = self._download(torch.cat(given))
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"{self._device}: {len(batch)} rows do not fit into its memory; lower `batch_size` (which is part of"
                f" the recipe), or stop other programs on this GPU: {error}"
            ) from error

        def wait() -> NDArray[np.float16]:
            features = arrive()
            if not features.isfinite().all():
                raise FeatureError(
                    f"{type(self._network).__name__} in {self._precision} on {self._device}: features are not finite; "
                    "try `precision: float32`, and check the weights"
                )
            return features.numpy()

        return wait

    def _features(self, inputs: Tensor) -> Tensor:
        features: Tensor = self._network(inputs.to(self._precision).to(self._computed_in))
        return features.to(torch.float16)

    def _upload(self, batch: Tensor) -> Tensor:
        if self._copies is None:
            return batch.to(self._device)
        with torch.cuda.stream(self._copies):
            uploaded = batch.pin_memory().to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copies)
        uploaded.record_stream(computing)  # or its memory could be given to the next batch while this one is read
        return uploaded

    def _download(self, features: Tensor) -> Callable[[], Tensor]:
        """A function that waits until the features are in this process's memory."""
        if self._copies is None:
            return features.cpu
        arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # idles meanwhile
        here = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
        here.copy_(features, non_blocking=True)
        arrived.record(torch.cuda.current_stream(self._device))

        def arrive() -> Tensor:
            arrived.synchronize()
            return here.clone()  # pinned memory is scarce, so it is not kept

        return arrive


def _the_same_every_time(device: torch.device) -> AbstractContextManager[None]:
    """The same kernels for the same shapes, and convolutions in float32 where float32 is asked for (not TF32)."""
    if device.type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags
