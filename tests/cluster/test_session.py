"""The commands of docs/cluster.md, as far as one machine can run them, and what DVC records of them.

Everything runs on loopback. Stubs stand in for SLURM; `ray` is the real one, with a small object store.
"""

import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ruamel.yaml import YAML

from tests.support import pages, warm
from tests.support.dvc_project import CODE, change, clone, dvc, ran, read_params, write_params

pytestmark = pytest.mark.cluster

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")

from tests.support.cluster_factory import short_folder  # noqa: E402 - imports Ray

REPRO, MAKE_TOKEN, USE_TOKEN, START_HEAD, START_NODE = pages.commands("docs/cluster.md")
(SLURM,) = pages.blocks("docs/cluster.md", language="bash")
EXTRACTED = {"extract_visual@demo", "extract_audio@demo"}
PATIENCE_SECONDS = 900  # a busy machine takes minutes to start Ray and its workers
IP = "127.0.0.3"  # loopback, and not 127.0.0.1, which Ray replaces by the machine's address on its network


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a small demo world, extracted by the local engine."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    params = read_params(folder)
    params["worlds"]["demo"] = {"seed": 1, "n_train": 2, "n_test": 2}
    params["extraction"]["device"] = "cpu"
    write_params(folder, params)
    assert ran(dvc(folder, *REPRO.split()[1:])) == CODE | {"render@demo", "prepare@demo"} | EXTRACTED
    change(folder, "execution.engine", "ray")
    return folder


@pytest.fixture
def shell(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of commands: PATH begins with stubs and this interpreter's folder. Ray is ended afterwards."""
    with short_folder() as ray_folder:
        stubs = Path(ray_folder) / "stubs"
        stubs.mkdir()
        binaries = Path(sys.executable).parent
        small = f"--num-cpus=1 --object-store-memory=80000000 --include-dashboard=false --temp-dir={ray_folder}"
        # Workers begin with their libraries imported.
        quick = f"import sys; sys.executable = '{warm.executable()}'"
        ray = f"{quick}; from ray.scripts.scripts import main; sys.exit(main())"
        # Nodes on one machine can share a folder, but each needs its own address.
        write_stub(
            stubs / "ray",
            f'if [ "$1" = start ]; then case "$*" in *--head*) set -- "$@" {small} ;; *) set -- "$@" '
            f"--num-cpus=1 --object-store-memory=80000000 --temp-dir={ray_folder} ;; esac\n"
            f'case "$*" in *--node-ip-address*) ;; *) set -- "$@" --node-ip-address={IP} ;; esac; fi\n'
            f'exec "{sys.executable}" -c "{ray}" "$@"\n',
        )
        write_stub(stubs / "dvc", f'exec {warm.command(warm.start())} dvc "$@"\n')
        write_stub(stubs / "srun", 'while [[ "$1" == --* ]]; do shift; done\nexec "$@"\n')
        write_stub(stubs / "scontrol", "echo node1; echo node2\n")
        write_stub(stubs / "hostname", f"echo {IP} 192.0.2.9\n")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RAY_"))}
        search = os.pathsep.join([str(stubs), str(binaries), os.environ["PATH"]])
        # Ray keeps its token in the home folder.
        ours = {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "DVC_NO_ANALYTICS": "1",
            "HOME": ray_folder,
            "PATH": search,
        }
        yield inherited | ours
        end_ray(ray_folder)


def write_stub(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/bash\n{body}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def end_ray(folder: str) -> None:
    """Kill only processes that were started with this folder; workers and agents end with their raylet."""
    for process in psutil.process_iter(["cmdline"]):
        if any(folder in word for word in process.info["cmdline"] or []):
            process.kill()
    time.sleep(2)  # they write into the folder until they notice


def forget_features(project: Path) -> Any:
    """Delete all extracted features; return ``dvc.lock``, which still holds their hashes."""
    for name in ("features", ".cache", ".dvc/cache/runs"):
        shutil.rmtree(project / name, ignore_errors=True)  # a test that failed before may have left nothing
    for path in (project / ".dvc" / "cache" / "files").rglob("*"):
        if path.is_file() and path.read_bytes().startswith(b"\x89HDF"):
            path.unlink()
    return read_lock(project)


def read_lock(project: Path) -> Any:
    return YAML(typ="safe").load(project / "dvc.lock")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((IP, 0))
        return probe.getsockname()[1]


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_by_hand(project: Path, shell: dict[str, str]) -> None:
    before = forget_features(project)
    port = str(free_port())
    start_node = START_NODE.replace("6379", port).replace("first-machine", IP)
    run(f"{MAKE_TOKEN}; {USE_TOKEN}; {START_HEAD.replace('6379', port)}", project, shell)
    run(f"{USE_TOKEN}; {start_node}", project, shell)
    output = run(f"{USE_TOKEN}; RAY_ADDRESS={IP}:{port} {REPRO}", project, shell)
    assert ran(output) == EXTRACTED
    assert output.count("avadclip.cluster.mapping: worker on") >= 2
    assert read_lock(project) == before


def test_slurm(project: Path, shell: dict[str, str]) -> None:
    """The script is run directly; that SLURM can run it is not tested."""
    before = forget_features(project)
    script = project / "job.sh"
    script.write_text(SLURM.replace(". .venv/bin/activate\n", ""))
    job = {
        "SLURM_JOB_ID": str(random.randrange(20_000)),  # determines the port
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_NNODES": "2",
    }
    with (project / "job.log").open("w") as log:  # no pipe: the steps in the background would keep it open
        done = subprocess.run(
            ["bash", str(script)],
            cwd=project,
            env=shell | job,
            stdout=log,
            stderr=log,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    output = (project / "job.log").read_text()
    assert done.returncode == 0, output
    assert ran(output) == EXTRACTED
    assert read_lock(project) == before
