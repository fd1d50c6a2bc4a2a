"""The Ray engine: does for every video what the local engine does, on many machines.

Rows hold paths, never frames. One actor per place has an encoder and decode workers of its own, writes feature files
into the work cache, or sends them if it cannot, and returns a small status row for each video.
"""

import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from avadclip import store
from avadclip.cluster.mapping import Done, Lost, Row, map_rows
from avadclip.cluster.session import connected
from avadclip.config.execution import Execution
from avadclip.config.features import Extraction
from avadclip.device import kind_of_machine
from avadclip.errors import ClusterError
from avadclip.extraction.encoding import Encoded, Encoding, Outcome
from avadclip.extraction.protocol import Modality, Pending
from avadclip.extraction.tally import Tally
from avadclip.store import Features, Packed, Recipe
from avadclip.store.work_cache import WorkCache
from avadclip.workers import GuardedPool

MakeModality = Callable[[], Modality]

AHEAD = 4  # videos that a worker has in its queue, so that decoders never wait for the driver
VISIBLE_SECONDS = (
    90.0  # a network file system may hide a new file for this long from a machine that looked for it before
)


@dataclass(frozen=True)
class Status:
    """A worker's result for one video; `content` is its feature file if workers cannot write into the store."""

    encoded: Encoded
    content: bytes | None = None


@dataclass(frozen=True)
class Task:
    """What every worker of one extraction needs to know."""

    make_modality: MakeModality
    recipe: Recipe  # as the driver computed it
    settings: Extraction
    work_cache: Path | None  # None: features are sent to the driver
    probe: str  # a file that the driver wrote there


class EncodingWorker:
    """An encoder and its decode workers in an actor: one thread handles the videos of many concurrent calls.

    Raises
    ------
    WeightsError, ConfigError : the encoder cannot be loaded.
    ClusterError : the packages here would give other features, or the work cache here is not that of the driver.
    """

    def __init__(self, task: Task) -> None:
        modality = task.make_modality()
        _check_versions(modality.recipe, task.recipe)
        if task.work_cache is not None and not (task.work_cache / task.probe).exists():
            raise ClusterError(
                f"{task.work_cache}: not the folder that the driver sees under this name; put `extraction.work_cache`"
                " on a shared file system, or write `execution.store: driver`"
            )
        self._settings, self._modality = task.settings, modality
        self._cache = None if task.work_cache is None else WorkCache(task.work_cache)
        self._to_send: dict[str, bytes] = {}  # video id -> feature file, if there is no shared work cache
        self._encoder = modality.load_encoder(task.settings.device)
        self.kind = kind_of_machine(task.settings.device)
        self._arrivals: queue.Queue[Pending] = queue.Queue()
        self._waiting: dict[str, Future[Encoded]] = {}
        threading.Thread(target=self._encode_forever, daemon=True).start()

    def run(self, video: Pending) -> Status:
        """Wait until one video is done."""
        video_id = video.source.id
        if self._cache is not None:
            fingerprint = store.fingerprint(self._modality.recipe, video_id, video.source.content_hash)
            if self._cache.holds(fingerprint):  # the worker that made it died after that
                checksum = store.read(self._cache.path(fingerprint)).checksum
                return Status(Encoded(video_id, n_snippets=0, seconds=0.0, checksum=checksum))
        future = self._waiting[video_id] = Future()
        self._arrivals.put(video)
        return Status(future.result(), self._to_send.pop(video_id, None))

    def _keep(self, features: Features | Packed) -> None:
        if self._cache is not None:
            self._cache.put(features)
        else:
            packed = features if isinstance(features, Packed) else store.pack(features)
            self._to_send[features.id] = packed.content

    def _encode_forever(self) -> None:
        try:
            with GuardedPool(self._settings.workers, self._settings.stall_seconds) as pool:
                encoding = Encoding(self._modality, pool, keep=self._keep, ended=self._ended)
                while True:
                    encoding.start(self._arrivals.get())
                    self._start_arrived(encoding)
                    for event in pool.events():
                        encoding.handle(event, self._encoder)
                        self._start_arrived(encoding)
        except Exception as error:  # of the device or the disk: the driver gives the videos to another worker
            for future in list(self._waiting.values()):
                future.set_exception(error)
            raise

    def _start_arrived(self, encoding: Encoding) -> None:
        while not self._arrivals.empty():
            encoding.start(self._arrivals.get())

    def _ended(self, encoded: Encoded) -> None:
        self._waiting.pop(encoded.id).set_result(encoded)


def encode_on_cluster(
    pending: Sequence[Pending],
    make_modality: MakeModality,
    cache: WorkCache,
    settings: Extraction,
    execution: Execution,
) -> Outcome:
    """Encode every video on the cluster; afterwards its features are in the work cache, as with the local engine.

    Parameters
    ----------
    make_modality : called here and, pickled, on every node.

    Raises
    ------
    ClusterError : no cluster, no place for a worker, or another work cache there than here.
    WeightsError, ConfigError : a worker cannot load the encoder.
    """
    if not pending:
        return Outcome({}, 0)
    modality = make_modality()
    folder = cache.folder.absolute()
    probe = f".probe-{uuid.uuid4().hex}"
    is_shared = execution.store == "shared"
    with ExitStack() as stack:
        ray = stack.enter_context(connected(execution))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / probe).touch()
        stack.callback((folder / probe).unlink, missing_ok=True)
        tally = stack.enter_context(Tally(pending, modality.stride))
        task = Task(make_modality, modality.recipe, settings, folder if is_shared else None, probe)
        results = map_rows(
            ray,
            (Row(video.source.id, video) for video in pending),
            partial(EncodingWorker, task),
            execution,
            root=str(Path.cwd()),
            in_flight_per_worker=settings.workers + AHEAD,
            is_concurrent=True,
            may_use_gpu=settings.device != "cpu",
        )
        fingerprints = {
            v.source.id: store.fingerprint(modality.recipe, v.source.id, v.source.content_hash) for v in pending
        }
        for result in results:
            encoded = _receive(result, cache.path(fingerprints[result.key]))
            tally.advance(encoded.n_snippets)
            tally.ended(encoded)
        outcome = tally.outcome()
    _wait_until_visible([cache.path(f) for i, f in fingerprints.items() if i not in outcome.failures])
    return outcome


def _check_versions(here: Recipe, wanted: Recipe) -> None:
    different = [
        f"{key} is {here.get(key)!r}, expected {wanted[key]!r}" for key in wanted if here.get(key) != wanted[key]
    ]
    if different:
        raise ClusterError(
            f"features would differ from those of the driver's machine: {'; '.join(different)}; install the same"
            " versions of all packages on every machine (requirements.lock)"
        )


def _receive(result: Done | Lost, path: Path) -> Encoded:
    """A worker's result for one video; on success its features are at `path`."""
    if isinstance(result, Lost):
        return Encoded(result.key, n_snippets=0, seconds=0.0, checksum=None, failure=result.reason)
    status: Status = result.result
    if status.content is not None:
        store.write_bytes(path, status.content)
    return status.encoded


def _wait_until_visible(paths: Sequence[Path]) -> None:
    end = time.monotonic() + VISIBLE_SECONDS
    for path in paths:
        while not path.exists():
            if time.monotonic() > end:
                raise ClusterError(f"{path}: a worker wrote it, but it is not visible here; run the same command again")
            time.sleep(1.0)
