"""The work cache: nothing leaves it unchecked, and what was checked once is not opened again."""

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from avadclip import store
from avadclip.errors import FeatureError
from avadclip.io import is_unfinished
from avadclip.store import Features, Source
from avadclip.store.work_cache import Usage, WorkCache


def features(video_id: str, content_hash: str = "ab" * 32) -> Features:
    return Features(
        source=Source(video_id, content_hash, n_frames=64, frame_rate=24.0),
        recipe={"modality": "audio", "stride": 16},
        values=np.random.default_rng(len(video_id)).normal(size=(4, 8)).astype(np.float16),
        valid=np.ones(4, bool),
        boundary_seconds=np.arange(5) * 2 / 3,
        decoder="pyav 1",
    )


FIRST, SECOND = features("first"), features("second one")
SUMS = "toy.audio.sums"


@pytest.fixture
def cache(tmp_path: Path) -> WorkCache:
    """A work cache with two videos, both of which an earlier process has checked."""
    earlier = WorkCache(tmp_path / "cache")
    for video in (FIRST, SECOND):
        earlier.put(video)
        assert earlier.holds(video.fingerprint)
    earlier.save_sums(earlier.folder / SUMS, [FIRST.fingerprint, SECOND.fingerprint])
    return reopened(earlier)


def reopened(cache: WorkCache) -> WorkCache:
    """Open the same folder as another process would."""
    again = WorkCache(cache.folder)
    again.load_sums(cache.folder / SUMS)
    return again


def flip_a_bit(path: Path, position: int) -> None:
    """Damage a file without changing its size or its modification time."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_was_found_whole_once_is_copied_without_opening_it(
    cache: WorkCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*args: object, **options: object) -> Features:
        raise AssertionError("opened again")

    just_put, just_found = WorkCache(tmp_path / "new"), WorkCache(cache.folder)
    just_put.put(FIRST)
    assert just_found.holds(FIRST.fingerprint)
    monkeypatch.setattr(store, "read", no_more)
    assert just_put.holds(FIRST.fingerprint)
    assert just_found.holds(FIRST.fingerprint)
    assert cache.copy_to(FIRST.fingerprint, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == cache.path(FIRST.fingerprint).read_bytes()
    with pytest.raises(AssertionError, match="opened again"):
        WorkCache(cache.folder).holds(FIRST.fingerprint)


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize("part", [FIRST.values.tobytes(), FIRST.checksum.encode(), FIRST.source.content_hash.encode()])
def test_no_damage_reaches_an_output(cache: WorkCache, tmp_path: Path, part: bytes, is_remembered: bool) -> None:
    damaged, output = cache.path(FIRST.fingerprint), tmp_path / "out.h5"
    flip_a_bit(damaged, damaged.read_bytes().index(part) + 5)
    output.write_text("what was there before")
    cache = cache if is_remembered else WorkCache(cache.folder)
    assert not cache.copy_to(FIRST.fingerprint, output)
    assert output.read_text() == "what was there before"
    assert not damaged.exists()
    assert cache.copy_to(SECOND.fingerprint, output)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_made_again(cache: WorkCache, share: float) -> None:
    path = cache.path(FIRST.fingerprint)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert not cache.holds(FIRST.fingerprint)
    cache.put(FIRST)
    assert cache.holds(FIRST.fingerprint)


@pytest.mark.parametrize("is_gone", [False, True])  # another process may remove it at the same time
def test_what_the_disk_cannot_read_any_more_is_made_again(
    cache: WorkCache, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    def broken_sector(path: Path) -> bytes:
        if is_gone:
            path.unlink()
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", broken_sector)
        assert not cache.holds(FIRST.fingerprint)
    assert not cache.path(FIRST.fingerprint).exists()


def test_a_file_under_the_name_of_another_is_refused(
    cache: WorkCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.path(SECOND.fingerprint).replace(cache.path(FIRST.fingerprint))
    assert not cache.copy_to(FIRST.fingerprint, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    reason = "has the features of another video or recipe; it is made again"
    assert caplog.messages == [f"work cache: {cache.path(FIRST.fingerprint)}: {reason}"]


def test_what_is_checked_is_what_is_copied(cache: WorkCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of the file in between."""
    path, elsewhere, read = cache.path(FIRST.fingerprint), tmp_path / "theirs.h5", store.read
    whole = path.read_bytes()
    elsewhere.write_bytes(whole)

    def changed(path: Path, *args: object, **options: object) -> Features:
        path.write_bytes(b"something else")
        return read(path, *args, **options)

    monkeypatch.setattr(store, "read", changed)
    assert WorkCache(cache.folder).copy_to(FIRST.fingerprint, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == whole
    other = WorkCache(tmp_path / "other")
    other.adopt(elsewhere, FIRST.fingerprint, FIRST.checksum)
    assert other.path(FIRST.fingerprint).read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "fingerprint", "checksum", "message"),
    [
        (store.pack(FIRST).content, SECOND.fingerprint, FIRST.checksum, "changed while it was being copied"),
        (store.pack(FIRST).content, FIRST.fingerprint, SECOND.checksum, "changed while it was being copied"),
        (b"text", FIRST.fingerprint, FIRST.checksum, "not a readable feature file"),
        (None, FIRST.fingerprint, FIRST.checksum, "cannot be read any more: No such file or directory; merge again"),
    ],
)
def test_only_the_file_that_was_offered_is_adopted(
    tmp_path: Path, content: bytes | None, fingerprint: str, checksum: str, message: str
) -> None:
    cache, path = WorkCache(tmp_path / "cache"), tmp_path / "theirs.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FeatureError, match=rf"theirs\.h5: {message}"):
        cache.adopt(path, fingerprint, checksum)
    assert not cache.folder.exists()


def test_a_packed_file_is_kept_as_it_is(tmp_path: Path) -> None:
    cache, packed = WorkCache(tmp_path), store.pack(FIRST)
    cache.put(packed)
    assert cache.path(FIRST.fingerprint).read_bytes() == packed.content


def test_what_is_not_needed_is_counted_and_removed(cache: WorkCache) -> None:
    kept, unneeded = cache.path(FIRST.fingerprint), cache.path(SECOND.fingerprint)
    assert cache.usage() == Usage(2, kept.stat().st_size + unneeded.stat().st_size)
    assert cache.usage([FIRST.fingerprint, "ef" * 32]) == Usage(1, unneeded.stat().st_size)
    begun = [kept.with_name(f".host-1-{age}.tmp") for age in ("old", "new")]
    for path in begun:
        path.touch()
        assert is_unfinished(path)
    os.utime(begun[0], (0, 0))
    cache.prune([FIRST.fingerprint])
    assert sorted(path for path in kept.parent.iterdir() if path.is_file()) == sorted([kept, begun[1]])
    assert not unneeded.exists()


def test_a_file_that_was_made_anew_with_other_bytes_is_taken(cache: WorkCache, tmp_path: Path) -> None:
    # The fingerprint does not say which of a recipe's decoders read the file, nor which version of HDF5 wrote it.
    cache.put(Features(**{**vars(FIRST), "decoder": "pyav 2"}))
    assert cache.copy_to(FIRST.fingerprint, tmp_path / "out.h5")
    assert store.read(tmp_path / "out.h5").decoder == "pyav 2"


def test_right_outputs_are_left_alone_and_wrong_ones_replaced(cache: WorkCache, tmp_path: Path) -> None:
    output = tmp_path / "out.h5"
    assert cache.copy_to(FIRST.fingerprint, output)
    os.utime(output, ns=(1, 1))
    assert cache.copy_to(FIRST.fingerprint, output)
    assert output.stat().st_mtime_ns == 1
    flip_a_bit(output, -1)
    assert cache.copy_to(FIRST.fingerprint, output)
    assert output.read_bytes() == cache.path(FIRST.fingerprint).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "out.h5"]


@pytest.mark.parametrize("garbage", [b"", b"\x00\xff" * 90, b"{}\n" * 3, b"ab" * 32 + b" " + b"cd" * 31])
def test_damaged_sums_cost_time_only(cache: WorkCache, caplog: pytest.LogCaptureFixture, garbage: bytes) -> None:
    sums = cache.folder / SUMS
    whole = sums.read_bytes()
    sums.write_bytes(garbage + b"\n" + whole[len(whole) // 2 :])
    with caplog.at_level(logging.WARNING):
        assert all(reopened(cache).holds(video.fingerprint) for video in (FIRST, SECOND))
    assert not caplog.records
    flip_a_bit(cache.path(FIRST.fingerprint), cache.path(FIRST.fingerprint).read_bytes().index(FIRST.values.tobytes()))
    assert not reopened(cache).holds(FIRST.fingerprint)


def test_sums_of_what_is_not_needed_any_more_are_forgotten(cache: WorkCache) -> None:
    before = (cache.folder / SUMS).read_text()
    cache.save_sums(cache.folder / SUMS, [SECOND.fingerprint, "ef" * 32])
    assert (cache.folder / SUMS).read_text() == before.splitlines(keepends=True)[1]
    assert cache.usage().n_files == 2
