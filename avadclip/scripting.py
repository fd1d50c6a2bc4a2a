"""What all stage scripts share: arguments from the command line, logging, and errors as one message."""

import atexit
import gc
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence

from avadclip.errors import AvadclipError, printable, refused_write


def run(main: Callable[..., None], argv: Sequence[str] | None = None) -> None:
    """Call `main` with the words of the command line and exit with the status that a shell expects.

    Parameters
    ----------
    main : takes positional words (`str`); parameters with a default may be left out on the command line.
    argv : the words after the program's name; default: those of this process.

    Raises
    ------
    SystemExit : 1 after an :class:`AvadclipError` or a write that the file system refused, whose message goes to
        stderr without a traceback; 2 after a wrong number of words, with a usage line.
    """
    gc.enable()  # not while a stage is imported, see pipeline/__init__.py
    end_quickly()
    words = list(sys.argv[1:] if argv is None else argv)
    signature = inspect.signature(main)
    try:
        signature.bind(*words)
    except TypeError:
        sys.stderr.write(f"usage: {_usage(main, signature)}\n")
        raise SystemExit(2) from None
    level = os.environ.get("AVADCLIP_LOG_LEVEL", "INFO")
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    try:
        main(*words)
    except AvadclipError as error:
        sys.stderr.write(printable(f"error: {error}\n"))
        raise SystemExit(1) from None
    except OSError as error:
        if (refused := refused_write(error)) is None:
            raise
        sys.stderr.write(printable(f"error: {refused}\n"))
        raise SystemExit(1) from None


def end_quickly() -> None:
    """Let this process end without looking for garbage in what it has imported, which takes 0.7 s where torch is."""
    atexit.register(gc.freeze)


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _usage(main: Callable[..., None], signature: inspect.Signature) -> str:
    words = [f"<{name}>" if p.default is p.empty else f"[{name}]" for name, p in signature.parameters.items()]
    # In `python -m pipeline.<stage>` the module is called __main__; its file has the name of the stage.
    stage = inspect.getmodule(main)
    spec = getattr(stage, "__spec__", None)
    return " ".join(["python -m", spec.name if spec else main.__module__, *words])
