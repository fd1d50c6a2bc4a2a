"""The local engine: decode workers around one encoder, so that decoding and encoding overlap."""

from collections.abc import Sequence

from avadclip.config.features import Extraction
from avadclip.extraction.encoding import Encoding, Outcome
from avadclip.extraction.protocol import Modality, Pending
from avadclip.extraction.tally import Tally
from avadclip.store.work_cache import WorkCache
from avadclip.workers import GuardedPool


def encode_videos(pending: Sequence[Pending], modality: Modality, cache: WorkCache, settings: Extraction) -> Outcome:
    """Decode and encode every video and put its features into the work cache; see :class:`Encoding`.

    Raises
    ------
    WeightsError, ConfigError : the encoder cannot be loaded.
    """
    if not pending:
        return Outcome({}, 0)
    tally = Tally(pending, modality.stride)
    with GuardedPool(settings.workers, settings.stall_seconds) as pool:
        encoding = Encoding(modality, pool, keep=cache.put, ended=tally.ended)
        for video in pending:
            encoding.start(video)
        pool.start()  # workers import libraries and decode first frames while the encoder is loaded
        encoder = modality.load_encoder(settings.device)
        with tally:
            for event in pool.events():
                tally.advance(encoding.handle(event, encoder))
    return tally.outcome()
