"""Stage ``code``: the project's own modules -> ``runs/code/<stage>[.<variant>].json``, which code each stage runs."""

import json

from avadclip import config, paths, scripting
from avadclip.graph.code import code_files
from avadclip.io import write_text


def main() -> None:
    """Write one file per stage and variant; DVC has emptied the folder."""
    for name, hashes in code_files(config.load()).items():
        write_text(paths.code(name), json.dumps(hashes, indent=2) + "\n")


if __name__ == "__main__":
    scripting.run(main)
