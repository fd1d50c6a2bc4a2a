"""Signs of life from inside long work: who waits for a worker learns that it is busy and does not hang."""

from collections.abc import Callable

_listener: Callable[[], None] | None = None


def beat() -> None:
    """Say that something has been done: a block was read, a picture decoded."""
    if _listener is not None:
        _listener()


def listen(listener: Callable[[], None] | None) -> None:
    """Call `listener` at every beat of this process; None: nobody."""
    global _listener
    _listener = listener
