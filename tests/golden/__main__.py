"""``python -m tests.golden``: where the decoders of this machine differ from ``frames.json``.

``--write`` remakes ``frames.json``, and ``--clips`` makes the clips that are missing (delete one to remake it).
"""

import argparse
import sys

from avadclip.io import write_text
from tests.golden import checksums
from tests.golden.clips import CLIPS, FOLDER, write


def main() -> int:
    """Compare, and write if asked to; return 1 if something differs and was not written."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--write", action="store_true", help="remake frames.json")
    parser.add_argument("--clips", action="store_true", help="make the clips that are missing")
    chosen = parser.parse_args()
    if chosen.clips:
        FOLDER.mkdir(exist_ok=True)
        for name in [name for name in CLIPS if not (FOLDER / name).exists()]:
            write(FOLDER / name, CLIPS[name])
    now = checksums.measure()
    before = checksums.read() if checksums.FILE.exists() else {"versions": {}, "libc": "", "clips": {}}
    found = list(checksums.differences(before, now))
    versions = f"made with {before['versions']}, here are {now['versions']}"
    sys.stdout.write("".join(f"{line}\n" for line in [versions, *found, f"{len(found)} differences"]))
    if chosen.write:
        write_text(checksums.FILE, checksums.to_text(now))
    return 1 if found and not chosen.write else 0


if __name__ == "__main__":
    sys.exit(main())
