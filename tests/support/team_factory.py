"""Clones of one git repository with the real graph on a few tiny videos, and a shell for docs/team.md's commands."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import pages, warm
from tests.support.dvc_project import ROOT, keep_the_pair, quicken, read_params, write_params
from tests.support.media_factory import tone, write_video

NAME = "tiny"
SPLITS = {"train": ("fighting", "normal", "fighting", "normal"), "test": ("fighting", "normal")}
PAGE = "docs/team.md"


@dataclass
class Team:
    """People on one machine, each with a clone and a terminal; `stand_ins` maps names on the page to real ones."""

    folder: Path
    stand_ins: dict[str, str]
    ran: set[str] = field(default_factory=set)  # commands of the page

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        ask = warm.command(warm.start())
        for name in ("dvc", "avadclip"):
            (programs / name).write_text(f'#!/bin/sh\nexec {ask} {name} "$@"\n')
            (programs / name).chmod(0o755)
        (self.folder / "gitconfig").write_text(
            "[user]\nname = Test\nemail = test@example.com\n[init]\ndefaultBranch = main\n[pull]\nrebase = false\n"
        )

    def person(self, name: str) -> Path:
        """A new clone of the team's repository."""
        self.run(self.folder, f"git clone --quiet hub.git {name}")
        self.run(self.folder / name, "dvc remote modify --local server keyfile ~/.ssh/id_ed25519")
        return self.folder / name

    def type(self, clone: Path, command: str) -> str:
        """Run a command of the page, which has to succeed, and return what it prints."""
        assert command in pages.commands(PAGE), f"not on the page: {command}"
        self.ran.add(command)
        return self.run(clone, command)

    def run(self, clone: Path, command: str, expected: int = 0) -> str:
        """Run a line of shell and return what it prints."""
        done = self.start(clone, command)
        output, _ = done.communicate()
        with (self.folder / "transcript").open("a") as file:
            file.write(f"\n{clone.name}$ {command}\n{output}")
        assert done.returncode == expected, f"{command}\n{output}"
        return output

    def start(self, clone: Path, command: str) -> "subprocess.Popen[str]":
        """Start a line of shell as this clone's owner."""
        for name, real in self.stand_ins.items():
            command = command.replace(name, real)
        search = [str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "DVC_ROOT") and not name.startswith("AWS_")
        }
        changed = {
            "PATH": os.pathsep.join(search),
            "HOME": str(self.folder),
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "DVC_NO_ANALYTICS": "1",
            "NO_PROXY": "127.0.0.1",
            "OMP_NUM_THREADS": "1",  # several people share this machine
            "COLUMNS": "200",
        }
        return subprocess.Popen(
            command,
            shell=True,
            cwd=clone,
            env=kept | changed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def write_repository(folder: Path) -> None:
    """Write what git would hold of this project, with parameters for a few tiny videos but without any video."""
    for name in ("avadclip", "pipeline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    params = read_params(folder)
    tiny = params["datasets"].pop("demo")
    tiny |= {
        "videos": f"data/{NAME}/videos",
        "annotations": f"data/{NAME}/annotations",
        "classes": ["normal", "fighting"],
    }
    params |= {"worlds": {}, "datasets": {NAME: tiny}}
    keep_the_pair(params)
    quicken(params, NAME, rounds=1, batch_size=2)
    params["evaluate"]["bootstrap_resamples"] = 5
    params["figures"]["n_videos"] = 1
    write_params(folder, params)


def add_videos(clone: Path, *, n_more: int = 0) -> list[Path]:
    """Write six videos, `n_more` others for training, and their annotations, where a person with videos keeps them."""
    data = clone / "data" / NAME
    for name in ("videos", "annotations"):
        (data / name).mkdir(parents=True, exist_ok=True)
    listed = [(f"{split} {n}.mp4", label, split) for split, labels in SPLITS.items() for n, label in enumerate(labels)]
    listed += [(f"more {n}.mp4", "normal", "train") for n in range(n_more)]
    for n, (name, _, _) in enumerate(listed):
        if not (data / "videos" / name).exists():
            write_video(data / "videos" / name, n_frames=60 + n, audio=tone(2.5, 220.0 + 40 * n))
    rows = ["video,labels,split", *map(",".join, listed)]
    (data / "annotations" / "videos.csv").write_text("\n".join(rows) + "\n")
    (data / "annotations" / "segments.csv").write_text(
        "video,label,start_seconds,end_seconds\ntest 0.mp4,fighting,0.8,1.8\n"
    )
    return [data / "videos" / name for name, _, _ in listed]


def objects(remote: Path) -> dict[str, Path]:
    """Map the md5 of every object in a remote or a cache to its file; each file has to match the md5 of its name."""
    found = {}
    for path in (remote / "files" / "md5").glob("??/[!.]*"):  # a killed process leaves .<random>.tmp
        name = path.parent.name + path.name
        assert hashlib.md5(path.read_bytes()).hexdigest() == name.removesuffix(".dir"), path
        found[name] = path
    return found
