"""A real sshd on loopback, for one user, with throwaway keys."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.missing import skip_or_fail

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class SshServer:
    """The address of the server, and the key that it accepts."""

    url: str  # ssh://user@127.0.0.1:port
    key: Path


def find_sshd() -> str:
    """Find sshd, from Debian's openssh-server; without it the test is skipped or, on CI, fails."""
    found = shutil.which("sshd", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        skip_or_fail("NOT TESTED WITH A SERVER", "sshd")
    return found


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Run sshd, with everything that it needs in `folder`, until the block ends."""
    sshd = find_sshd()
    folder.mkdir(parents=True)
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Debian makes it when the system's own sshd starts
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        _wait_until_it_listens(server, port, folder / "log")
        user = pwd.getpwuid(os.getuid()).pw_name  # whatever LOGNAME says
        yield SshServer(f"ssh://{user}@127.0.0.1:{port}", folder / "user_key")
    finally:
        server.terminate()
        server.wait()


def _wait_until_it_listens(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        else:
            return
