"""Where a network computes."""

import platform

import torch

from avadclip.errors import ConfigError


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:1` into a device; `auto` takes the first GPU where there is one.

    Raises
    ------
    ConfigError : no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: expected auto, cpu, cuda or cuda:<number>, found {name!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device: {name!r} asked for, but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices; "
            "write `auto` or `cpu`, or install the CUDA build of torch"
        )
    return device


def kind_of_machine(device: str) -> str:
    """What the last digits of a result may depend on, apart from parameters and inputs."""
    chosen = resolve_device(device)
    if chosen.type == "cuda":
        return f"{torch.cuda.get_device_name(chosen)}, torch {torch.__version__}"
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {torch.get_num_threads()} threads, torch {torch.__version__}"
