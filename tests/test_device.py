"""What resolving a device does to the process."""

import ctypes
import subprocess
import sys

import pytest

ALLOCATING = """
import resource
import torch
from avadclip.device import resolve_device

resolve_device("cpu")
for round in range(20):
    if round == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12_500_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="a C library without mallopt")
def test_on_a_cpu_freed_memory_is_used_again_without_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", ALLOCATING], capture_output=True, text=True, check=True)
    pages_of_one = 12_500_000 * 4 // 4096
    # Without it, ten tensors ask the system for the pages of ten, or of fewer where pages are large.
    assert int(done.stdout) < pages_of_one / 10
