"""torch, torchvision and open_clip, imported for half of their time: without what no encoder of this project asks for.

torchvision imports torch's compiler to ask one question of it, and open_clip imports every network that timm has.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, reload
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


@contextmanager
def lean_imports() -> Iterator[None]:
    """What the block imports does without the compiler and timm, unless they are there already; both can come later."""
    was_collecting = gc.isenabled()
    gc.disable()  # hundreds of thousands of objects come, and none of them goes: a fifth of the time
    try:
        import_module("torch")
        absent = {"timm": None, _COMPILER: _Compiler(_COMPILER)}
        absent = {name: stand_in for name, stand_in in absent.items() if name not in sys.modules}
        sys.modules.update(absent)  # type: ignore[arg-type]  # None: importing it fails, and open_clip does without
        try:
            yield
        finally:
            for name, stand_in in absent.items():
                if sys.modules.get(name) is stand_in:
                    del sys.modules[name]
    finally:
        if was_collecting:
            gc.enable()


def bring_timm() -> None:
    """Let open_clip build its image towers of timm, which :func:`lean_imports` may have kept away."""
    adapter = import_module("open_clip.timm_model")
    if adapter.timm is None:
        reload(adapter)  # into the same module: its classes, which others hold, look timm up there


class _Compiler(ModuleType):
    """Stands for the compiler's module until something else of it is asked for than torchvision's question."""

    def is_compile_supported(self, device_type: Any) -> Any:
        return self._imported().is_compile_supported(device_type)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python itself, about a module that is being imported
            raise AttributeError(name)
        return getattr(self._imported(), name)

    def _imported(self) -> Any:
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
        return import_module(_COMPILER)
