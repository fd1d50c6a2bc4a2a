"""The devices that networks run on."""

import ctypes
import platform

import torch

from avadclip.errors import ConfigError

# Of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:1` into a device; `auto` takes the first GPU where there is one.

    Raises
    ------
    ConfigError : no such device on this machine.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError:
        raise ConfigError(f"device: expected auto, cpu, cuda or cuda:<number>, found {name!r}") from None
    if device.type == "cpu":
        _keep_freed_memory()
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device: {name!r} was asked for, but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA "
            "devices; write `auto` or `cpu`, or install the CUDA build of torch"
        )
    return device


def resolve_devices(name: str) -> list[torch.device]:
    """Turn `all` into every GPU of this machine, and any other name into one device.

    Raises
    ------
    ConfigError : no such device on this machine, or its GPUs are of different kinds: which one encodes a video is
        random, and so would be the last digits of its features.
    """
    if name != "all":
        return [resolve_device(name)]
    kinds = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if not kinds:
        raise ConfigError(
            f"device: 'all' was asked for, but torch {torch.__version__} sees no CUDA device; write `auto` or `cpu`, or"
            " install the CUDA build of torch"
        )
    if len(set(kinds)) > 1:
        raise ConfigError(
            f"device: 'all' was asked for, but these GPUs would give different last digits: {', '.join(kinds)}; name"
            " one, such as cuda:0, or hide the others with CUDA_VISIBLE_DEVICES"
        )
    return [torch.device("cuda", index) for index in range(len(kinds))]


def kind_of_machine(device: str) -> str:
    """What the last digits of a result may depend on, apart from parameters and inputs."""
    chosen = resolve_devices(device)[0]
    if chosen.type == "cuda":
        return f"{torch.cuda.get_device_name(chosen)}, torch {torch.__version__}"
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _keep_freed_memory() -> None:
    """Let this process keep what its tensors free, for the next ones, instead of handing it back to the system.

    Every batch frees and allocates the same tens of megabytes. Where the C library hands them back, the system fills
    them with zeros again, page by page: a fifth of the time of a training of small networks and a quarter of CLIP's on
    two cores. A library without these settings (any but glibc) is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_MMAP_THRESHOLD, 2**30)
