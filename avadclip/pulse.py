"""Signs of life from long tasks, by which whoever waits for a worker can tell that it does not hang."""

from collections.abc import Callable

_listener: Callable[[], None] | None = None


def beat() -> None:
    """Report progress: a block was read, or a picture decoded."""
    if _listener is not None:
        _listener()


def listen(listener: Callable[[], None] | None) -> None:
    """Call `listener` at every beat of this process; None removes it."""
    global _listener
    _listener = listener
