"""What runs in a Ray actor. Nothing here may import torch, because the number of its threads is set first."""

import os
import pickle
import socket
from typing import Any, Protocol


class Worker(Protocol):
    """Handles rows, in a process of its own somewhere on the cluster."""

    kind: str  # of the machine, as far as results depend on it

    def run(self, row: Any) -> Any:
        """One row -> its small result. Called from several threads at a time if the mapping is concurrent."""


class Host:
    """The actor: makes its worker in :meth:`start`, so that errors keep their type."""

    def __init__(self, pickled_make: bytes, root: str, threads: int | None) -> None:
        self._pickled_make, self._root, self._threads = pickled_make, root, threads

    def start(self) -> str:
        """Make the worker; return the kind of its machine.

        Raises
        ------
        AvadclipError : the worker cannot be made here; with the name of the machine.
        """
        # Ray sets this to the number of reserved cores; the local engine leaves the choice to torch.
        os.environ.pop("OMP_NUM_THREADS", None)
        if self._threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(self._threads)
        from avadclip.errors import AvadclipError, ClusterError

        if not os.path.isdir(self._root):  # noqa: PTH112
            raise ClusterError(
                f"{socket.gethostname()}: no folder {self._root}; the project must have the same path on every"
                " machine of the cluster"
            )
        os.chdir(self._root)
        try:
            worker: Worker = pickle.loads(self._pickled_make)()
        except AvadclipError as error:
            raise type(error)(f"on {socket.gethostname()}: {error}") from None
        self._worker = worker
        return worker.kind

    def run(self, row: Any) -> Any:
        """Pass one row on."""
        return self._worker.run(row)
