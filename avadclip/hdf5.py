"""HDF5 files from untrusted sources: only data in the file itself are read, and not more than the file has.

The HDF5 library would follow links into other files, wait for a pipe, allocate whatever a header of a few bytes
declares, and loop for ever in a damaged heap of texts.
"""

import mmap
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from avadclip.io import write_bytes

# What a damaged or hostile file may raise; readers catch it and say what to do.
UNREADABLE = (OSError, LookupError, ValueError, TypeError, AttributeError, OverflowError, RuntimeError)

_MOST_DEFLATED = 1032  # bytes that one byte of deflate can stand for
_serial = count()


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[h5py.File]:
    """Open a file for reading.

    Parameters
    ----------
    content : its bytes, if they are in memory already; then the file itself is not opened.

    Raises
    ------
    OSError : not an HDF5 file; FileNotFoundError : no such file.
    ValueError : a heap in which HDF5 would not find an end.
    """
    if content is None and not stat.S_ISREG(path.stat().st_mode):
        raise OSError("expected a file, found a folder, pipe or device")
    with h5py.File(path if content is None else h5py.h5f.open_file_image(content), "r") as file:
        _, n_length = file.id.get_create_plist().get_sizes()
        if content is not None:
            _require_ends(content, n_length)
        else:
            with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                _require_ends(mapped, n_length)
        yield file


# Signature and version of a global heap, which has the texts of variable length; HDF5 skips the three bytes after them.
_HEAP = re.compile(rb"GCOL\x01")
_SMALLEST_HEAP = 4096  # bytes; HDF5 refuses smaller ones, and those that do not end within the file


def _require_ends(content: bytes | mmap.mmap, n_length: int) -> None:
    """Walk every heap as HDF5 does (``H5HGcache.c``), which at an object of 0 bytes never moves on.

    Parameters
    ----------
    n_length : size of a length field of this file, in bytes.
    """
    header = _aligned(8 + n_length)  # of the heap, and of each object in it
    for heap in _HEAP.finditer(content):
        place, size = heap.start() + header, _number(content, heap.start() + 8, n_length)
        end = heap.start() + size
        if size < _SMALLEST_HEAP or end > len(content):
            continue  # HDF5 refuses it, or these bytes are no heap at all
        while place + header <= end:
            length = _number(content, place + 8, n_length)
            # Object 0 is the free space; its length includes its header.
            n_bytes = header + _aligned(length) if _number(content, place, 2) else length
            if not 0 < n_bytes <= end - place:
                raise ValueError(f"a heap of texts with an object of {n_bytes} bytes at {place}")
            place += n_bytes


def _number(content: bytes | mmap.mmap, place: int, n_bytes: int) -> int:
    return int.from_bytes(content[place : place + n_bytes], "little")


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // 8) * 8


@contextmanager
def created(path: Path) -> Iterator[h5py.File]:
    """A new file that is filled in memory and written whole if the block succeeds.

    HDF5 itself would report a full disk in words only, and perhaps not before it closes the file.
    """
    with in_memory() as file:
        yield file
        content = image(file)
    write_bytes(path, content)


@contextmanager
def in_memory() -> Iterator[h5py.File]:
    """A new file in memory, as ``h5py.File.in_memory()`` makes it, in a third of the time."""
    create_plan, access_plan = _plans()
    name = b"in memory %d" % next(_serial)  # two open files must not have the same name
    with h5py.File(h5py.h5f.create(name, h5py.h5f.ACC_EXCL, create_plan, access_plan)) as file:
        yield file


@cache
def _plans() -> tuple[Any, Any]:
    with h5py.File.in_memory() as file:
        return file.id.get_create_plist(), file.id.get_access_plist()


def image(file: h5py.File) -> bytes:
    """The bytes of a file in memory, as they would be on a disk."""
    file.flush()
    return bytes(file.id.get_file_image())


# `file.attrs[name]` and `file[name][:]` take twice as long, and a training split of 100,000 videos has 200,000 files.
# The same holds for writing, where objects that all files have in common are made once.
_TEXT = h5py.string_dtype()
_STORED_TEXT, _GIVEN_TEXT = h5py.h5t.py_create(_TEXT, logical=True), h5py.h5t.py_create(_TEXT)
_SINGLE = h5py.h5s.create_simple(())
_SINGLE_KINDS = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING)
_PLAN = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
_PLAN.set_obj_track_times(False)


def write_attribute(file: h5py.File, name: str, value: str | float) -> None:
    """Add an attribute, a single number or text, with the same bytes as ``file.attrs[name] = value``."""
    if isinstance(value, str):
        text = h5py.h5a.create(file.id, name.encode(), _STORED_TEXT, _SINGLE)
        text.write(np.asarray(value, _TEXT), mtype=_GIVEN_TEXT)
    else:
        item = np.asarray(value)
        kind = h5py.h5t.py_create(item.dtype, logical=True)
        h5py.h5a.create(file.id, name.encode(), kind, _SINGLE).write(item, mtype=kind)


def write_array(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """Add a data set, with the same bytes as ``file.create_dataset(name, data=values)``."""
    kind, space = h5py.h5t.py_create(values.dtype, logical=True), h5py.h5s.create_simple(values.shape)
    dataset = h5py.h5d.create(file.id, name.encode(), kind, space, dcpl=_PLAN)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(values))


def attribute(file: h5py.File, name: str) -> Any:
    """A single number or text among the attributes of a file."""
    found = h5py.h5a.open(file.id, name.encode())
    if found.shape != ():
        raise ValueError(f"{name}: expected a single value, found {found.shape}")
    if found.get_type().get_class() not in _SINGLE_KINDS:  # HDF5 crashes on lists whose kind of list it does not know
        raise ValueError(f"{name}: expected a number or text, found {found.dtype}")
    value = np.empty((), found.dtype)
    found.read(value)
    item = value.item()
    return item.decode() if isinstance(item, bytes) else item


def array(file: h5py.File, name: str, kind: str) -> NDArray[Any]:
    """Read a data set of a file.

    Parameters
    ----------
    kind : type of its values, for example ``<f2``; ``S`` stands for texts of any length.

    Raises
    ------
    ValueError : it is of another kind, a link, or larger than its bytes in the file can be.
    """
    dataset = _dataset(file, name)
    if not (dataset.dtype == np.dtype(kind) or dataset.dtype.kind == kind):
        raise ValueError(f"{name}: expected {kind}, found {dataset.dtype}")
    values = np.empty(dataset.shape, dataset.dtype)
    if values.size:
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All data sets of a file, by their paths; links to other places are not followed.

    h5py's ``visititems`` asks for the size of each group, for which HDF5 goes from neighbour to neighbour in its tree
    (``H5B_get_info``); in a damaged tree that may be for ever.
    """
    found: dict[str, h5py.Dataset] = {}
    groups, seen = [("", h5py.h5g.open(file.id, b"/"))], set()
    while groups:
        place, group = groups.pop()
        names: list[bytes] = []
        group.links.iterate(names.append)
        for name in names:
            link = group.links.get_info(name)
            if link.type != h5py.h5l.TYPE_HARD or link.u in seen:
                continue
            seen.add(link.u)  # a group may be in itself
            item, path = h5py.h5o.open(group, name), place + name.decode(errors="replace")
            if isinstance(item, h5py.h5d.DatasetID):
                found[path] = h5py.Dataset(item)
            elif isinstance(item, h5py.h5g.GroupID):
                groups.append((f"{path}/", item))
    return found


def length(file: h5py.File, name: str) -> int:
    """Number of rows of a data set."""
    return int(_dataset(file, name).shape[0])


def _dataset(file: h5py.File, name: str) -> Any:
    if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name}: expected data, found a link")
    dataset = h5py.h5d.open(file.id, name.encode())
    plan = dataset.get_create_plist()
    layout = plan.get_layout()
    if layout == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise ValueError(f"{name}: its data are in another file")
    n_bytes = dataset.dtype.itemsize
    for extent in dataset.shape:
        n_bytes *= int(extent)
    most = dataset.get_storage_size() * (_MOST_DEFLATED if layout == h5py.h5d.CHUNKED else 1)
    if n_bytes > min(most, file.id.get_filesize() * _MOST_DEFLATED):
        raise ValueError(f"{name}: declares {n_bytes} bytes, which are not in the file")
    return dataset
