"""The real ``dvc``, which does not keep the comments in its lock file: there are none.

After every stage DVC reads all of ``dvc.lock`` in a way that remembers comments, half a second a stage in the shipped
graph: most of what a ``dvc repro`` of stubs takes.
"""

import sys

from dvc.cli import main
from dvc.utils.serialize import _yaml

_yaml.parse_yaml_for_update = _yaml.parse_yaml

if __name__ == "__main__":
    sys.exit(main())
