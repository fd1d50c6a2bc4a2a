"""What happens to a test whose program is not on this machine."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(not_done: str, program: str) -> NoReturn:
    """Skip the test, loudly; on CI, which installs everything that tests need, it fails."""
    message = f"{not_done}: no {program}; run tests/support/install_debian_packages.sh"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
