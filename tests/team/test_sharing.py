"""People share caches over a folder and real SSH and S3 servers, with clones of one repository, as in docs/team.md.

The tests in this file build on each other, in this order.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support import pages
from tests.support.dvc_project import change, ran
from tests.support.s3_server import S3Server, s3_server, write_profile
from tests.support.ssh_server import ssh_server
from tests.support.team_factory import NAME, SPLITS, Team, add_videos, objects, write_repository

pytestmark = pytest.mark.slow

N_VIDEOS = sum(map(len, SPLITS.values()))
FEATURES = {f"extract_{modality}@{NAME}" for modality in ("visual", "audio")}
EVALUATE = {f"evaluate@{NAME}", f"figures@{NAME}", f"report@{NAME}"}
VARIANTS = ("audio_visual", "visual_student")
LEARN = {
    f"train@{NAME}-{VARIANTS[0]}-0",
    f"distill@{NAME}-{VARIANTS[1]}-0",
    f"package@{NAME}",
    *(f"score@{NAME}-{v}-0" for v in VARIANTS),
    f"players@{NAME}",
} | EVALUATE
TEAMS_COMMAND = "dvc repro --pull --allow-missing"


def commands(section: str | None = None) -> list[str]:
    """Return the commands of the page, or of one of its sections."""
    return pages.commands("docs/team.md", section)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """An empty hub, the three remotes, and Anna's clone with the whole project in it, pushed."""
    folder = tmp_path_factory.mktemp("team")
    with ssh_server(folder / "sshd") as server, s3_server("team-bucket") as cloud:
        team = Team(
            folder / "people",
            {
                "/mnt/team": str(folder / "disk"),
                "ssh://server.example/srv": f"{server.url}{folder / 'server'}",
                "~/.ssh/id_ed25519": str(server.key),
                "https://s3.example": cloud.url,
                "xd_violence": NAME,
            },
        )
        write_profile(team.folder, "team")
        team.run(team.folder, "git init --quiet --bare hub.git && git clone --quiet hub.git anna")
        anna = team.folder / "anna"
        write_repository(anna)
        team.run(anna, "git add --all && git commit --quiet --message Project && git push --quiet")
        for command in commands("A place for the files"):
            team.type(anna, command)
        team.run(anna, "git push --quiet")
        yield team


@pytest.fixture(scope="module")
def anna(team: Team) -> Path:
    """The clone of Anna, who has the videos."""
    return team.folder / "anna"


@pytest.fixture(scope="module")
def ben(team: Team) -> Path:
    """The clone of Ben, who has half of the videos, and trains."""
    return team.folder / "ben"


@pytest.fixture(scope="module")
def cleo(team: Team) -> Path:
    """The clone of Cleo, who has no video, and evaluates."""
    return team.folder / "cleo"


def on_disk(team: Team) -> dict[str, Path]:
    return objects(Path(team.stand_ins["/mnt/team"]) / "avadclip")


def on_server(team: Team) -> dict[str, Path]:
    return objects(team.folder.parent / "server" / "avadclip")


def in_cloud(team: Team) -> set[str]:
    server = S3Server(team.stand_ins["https://s3.example"], "team-bucket")
    return {"".join(key.split("/")[-2:]) for key in server.object_names()}


def assert_every_stage_has_what_others_made(clone: Path) -> None:
    """Assert that, by ``dvc.lock``, every stage has read the files that other stages have written."""
    stages = YAML(typ="safe").load(clone / "dvc.lock")["stages"]
    made = {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    for name, stage in stages.items():
        for dep in stage["deps"]:
            assert made.get(dep["path"], dep["md5"]) == dep["md5"], f"{name} has read another {dep['path']}"


def test_remotes_are_for_everybody_and_keys_for_oneself(team: Team, anna: Path) -> None:
    shared, own = (anna / ".dvc" / "config").read_text(), (anna / ".dvc" / "config.local").read_text()
    assert all(words in shared for words in ("remote = team", "s3://team-bucket/avadclip", "eu-central-1"))
    assert all(words in own and words not in shared for words in ("keyfile", "profile"))
    assert "config.local" not in team.run(anna, "git ls-files .dvc")


def test_two_people_extract_halves_and_one_repro_encodes_nothing(team: Team, anna: Path) -> None:
    videos = add_videos(anna)
    for command in ("dvc repro prepare", "dvc push code prepare"):
        team.type(anna, command)
    team.run(anna, "git add dvc.lock && git commit --quiet --message 'Manifest' && git push --quiet")

    ben = team.person("ben")
    team.type(ben, "dvc pull prepare")
    (ben / "data" / NAME / "videos").mkdir()
    for video in sorted(videos)[1::2]:  # the manifest is sorted: these are his
        (ben / "data" / NAME / "videos" / video.name).write_bytes(video.read_bytes())
    theirs = team.type(ben, "avadclip features extract xd_violence --part 2/2")
    assert theirs.count("3 videos") == theirs.count("0 cached, 3 encoded, 0 failed") == 2
    assert not (ben / "features" / NAME).exists()
    team.type(ben, "cp --recursive .cache/features /mnt/team/ben")

    ours = team.type(anna, "avadclip features extract xd_violence --part 1/2")
    assert ours.count("0 cached, 3 encoded, 0 failed") == 2
    assert "6 new" in (merged := team.type(anna, "avadclip features merge /mnt/team/ben"))
    assert "0 still missing" in merged
    output = team.type(anna, "dvc repro prepare extract_visual extract_audio")
    assert ran(output) == FEATURES
    assert output.count(f"{N_VIDEOS} cached, 0 encoded") == 2


def test_features_are_pushed_to_all_remotes(team: Team, anna: Path) -> None:
    for command in commands("If you have the videos")[1:-1]:
        team.type(anna, command)
    assert "dvc.lock" in team.run(anna, "git ls-files")
    # Stage `code`, manifest, ground truth, lists of files, and two features a video; but no video and no annotation.
    n_code = len(list((anna / "runs" / "code").iterdir()))
    assert len(on_disk(team)) == len(on_server(team)) == n_code + 2 + 3 + 2 * N_VIDEOS
    assert on_disk(team).keys() == on_server(team).keys() == in_cloud(team)


def test_what_is_in_the_cloud_comes_back(team: Team) -> None:
    emil = team.person("emil")
    team.run(emil, "dvc remote modify --local cloud profile team")
    team.run(emil, "dvc pull --remote cloud prepare extract_visual extract_audio")
    assert team.run(emil, "avadclip features verify").count("no problems") == 2


def test_training_needs_features_and_no_video(team: Team, ben: Path) -> None:
    for path in (ben / "data" / NAME, ben / ".cache"):  # from now on, he has no videos and no work cache
        team.run(ben, f"rm -r '{path}'")
    team.run(ben, "rm -r .dvc/cache && git pull --quiet")
    pull, verify, repro, *push = commands("If you train")
    team.type(ben, pull)
    assert not (ben / "data" / NAME / "videos").exists()
    assert team.type(ben, verify).count("no problems") == 2
    assert ran(team.type(ben, repro)) == LEARN
    for command in push:
        team.type(ben, command)
    assert ran(team.run(ben, TEAMS_COMMAND)) == set()


def test_evaluating_needs_scores_only(team: Team) -> None:
    cleo = team.person("cleo")
    assert ran(team.run(cleo, TEAMS_COMMAND)) == set()  # everything is in dvc.lock, and nothing is fetched
    assert not any((cleo / name / NAME).exists() for name in ("data", "runs", "results"))
    pull, repro = commands("If you evaluate")
    team.type(cleo, pull)
    change(cleo, "evaluate.alarm_threshold", 0.7)
    assert ran(team.type(cleo, repro)) == EVALUATE
    # `evaluate` writes this file; no detector was fetched.
    assert [path.name for path in (cleo / "runs" / NAME).rglob("*.*")] == ["alarm.json"]
    assert not (cleo / "features" / NAME).exists()


def test_scores_that_were_not_pulled_are_missed(team: Team, cleo: Path) -> None:
    score = cleo / "results" / NAME / "scores" / f"{NAME}.visual_student.seed0.h5"
    content = score.read_bytes()
    score.unlink()
    change(cleo, "evaluate.alarm_threshold", 0.6)
    output = team.run(cleo, "dvc repro --pull --allow-missing --single-item evaluate", expected=255)
    assert f"{NAME}.visual_student.seed0.h5; run `dvc repro`, or `dvc pull score`" in output
    score.write_bytes(content)
    change(cleo, "evaluate.alarm_threshold", 0.7)


def test_two_changes_meet_in_dvc_lock(team: Team, ben: Path, cleo: Path) -> None:
    team.run(
        cleo, "dvc push evaluate figures report && git commit --quiet --all --message Threshold && git push --quiet"
    )
    change(ben, "figures.formats", ["svg"])
    assert ran(team.run(ben, TEAMS_COMMAND)) == {f"figures@{NAME}"}
    team.run(ben, "git commit --quiet --all --message 'As SVG'")
    chapter = commands("When two change `dvc.lock`")
    assert "CONFLICT" in team.run(ben, chapter[0], expected=1)
    team.ran.add(chapter[0])
    outputs = [team.type(ben, command) for command in chapter[1:]]
    assert {name for output in outputs for name in ran(output)} == {f"figures@{NAME}"}
    assert_every_stage_has_what_others_made(ben)
    assert len(team.run(ben, "git log --merges --oneline").splitlines()) == 1
    assert ran(team.run(ben, TEAMS_COMMAND)) == set()
    team.run(ben, "git push --quiet")


def test_ten_more_videos_cost_and_upload_ten(team: Team, anna: Path) -> None:
    """The cache is linked read-only into the project, where a write would change the cache that everybody trusts."""
    team.run(
        anna,
        "git pull --quiet && dvc config --local cache.type symlink,hardlink"
        " && dvc checkout --relink extract_visual extract_audio",
    )
    stored = anna / "features" / NAME / "visual" / "train 0.h5"
    assert stored.is_symlink()
    team.run(anna, "rm -r .cache")
    before, cache = on_disk(team), objects(anna / ".dvc" / "cache")
    assert f"{2 * N_VIDEOS} new" in team.type(anna, "avadclip features merge features")
    add_videos(anna, n_more=2)
    output = team.run(anna, "dvc repro prepare extract_visual extract_audio")
    assert output.count(f"{N_VIDEOS} cached, 2 encoded") == 2
    team.run(anna, "dvc push prepare extract_visual extract_audio")
    assert len(on_disk(team).keys() - before.keys()) == 1 + 2 + 2 * 2  # manifest, two lists of files, features
    assert before.keys() <= on_disk(team).keys()
    assert cache.keys() <= objects(anna / ".dvc" / "cache").keys()  # which checks their bytes
    team.run(anna, f"python -m pipeline.extract_visual {NAME}")  # by hand, onto links
    objects(anna / ".dvc" / "cache")
    assert stored.is_symlink()
    team.run(anna, "git commit --quiet --all --message 'Two more videos' && git push --quiet")


def test_a_flipped_bit_is_found_named_and_mended(team: Team, ben: Path) -> None:
    team.run(ben, "git pull --quiet && dvc pull --quiet prepare extract_visual extract_audio")
    assert team.run(ben, "avadclip features verify").count("no problems") == 2
    path = ben / "features" / NAME / "visual" / "more 1.h5"
    content = bytearray(path.read_bytes())
    content[-300] ^= 1
    path.write_bytes(content)
    assert f"{path.relative_to(ben)}: damaged" in team.run(ben, "avadclip features verify", expected=1)
    team.type(ben, "dvc checkout --force extract_visual extract_audio")
    assert team.run(ben, "avadclip features verify").count("no problems") == 2


def test_newer_code_without_videos(team: Team, cleo: Path) -> None:
    """`prepare` is out of date then, and only somebody with videos can run it; later stages can still run."""
    team.run(cleo, "git pull --quiet")
    with (cleo / "avadclip" / "media" / "probe.py").open("a") as file:
        file.write("# newer\n")
    change(cleo, "evaluate.alarm_threshold", 0.65)
    team.run(cleo, TEAMS_COMMAND, expected=255)
    team.type(cleo, "dvc pull prepare score")
    assert ran(team.type(cleo, "dvc repro --pull --allow-missing --single-item evaluate figures report")) == EVALUATE


def test_weights_are_shared(team: Team, anna: Path, cleo: Path) -> None:
    (anna / "weights").mkdir()
    (anna / "weights" / "ViT-B-16.pt").write_bytes(b"a few hundred megabytes")
    add, *rest, pull = commands("Weights of the encoders")
    team.type(anna, add)
    for command in rest:
        team.type(anna, command)
    team.run(anna, "git commit --quiet --message Weights && git push --quiet")
    team.run(cleo, "git checkout --quiet . && git pull --quiet")
    team.type(cleo, pull)
    assert (cleo / "weights" / "ViT-B-16.pt").read_bytes() == b"a few hundred megabytes"


def test_two_push_at_once(team: Team, anna: Path, ben: Path) -> None:
    everything = "prepare extract_visual extract_audio"
    for remote, folder in (("twice", "disk"), ("server_twice", "server")):
        url = "/mnt/team/twice" if remote == "twice" else "ssh://server.example/srv/twice"
        for clone in (anna, ben):
            team.run(clone, f"dvc remote add --local {remote} {url}")
            if folder == "server":
                team.run(clone, f"dvc remote modify --local {remote} keyfile ~/.ssh/id_ed25519")
        both = [team.start(clone, f"dvc push --remote {remote} {everything}") for clone in (anna, ben)]
        outputs = [process.communicate()[0] for process in both]
        for clone, process, output in zip((anna, ben), both, outputs, strict=True):
            if process.returncode:
                # DVC makes a file read-only as soon as it is there. A disk then refuses anybody who is just writing the
                # same file, unless they are root; they have to push again.
                assert folder == "disk", output
                assert os.getuid() != 0, output
                assert "Permission denied" in output
                team.run(clone, f"dvc push --remote {remote} {everything}")
        assert len(objects(team.folder.parent / folder / "twice")) == 2 + 2 + 2 * (N_VIDEOS + 2)


KILLED_AFTER_FIVE = """
import os, signal, sys
from dvc.cli import main
from sshfs.spec import SSHFileSystem
get_file, done = SSHFileSystem._get_file, []
async def get_or_die(*words, **keys):
    done.append(await get_file(*words, **keys))
    if len(done) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
SSHFileSystem._get_file = get_or_die
main(sys.argv[1:])
"""


def test_a_pull_that_was_killed_goes_on(team: Team, anna: Path) -> None:
    team.run(anna, "dvc push --remote server prepare extract_visual extract_audio")
    dora = team.person("dora")
    words = "pull --remote server prepare extract_visual extract_audio"
    (team.folder / "killed.py").write_text(KILLED_AFTER_FIVE)
    team.run(dora, f"exec python {team.folder / 'killed.py'} {words}", expected=-signal.SIGKILL)
    assert not (dora / "features" / NAME / "visual").exists()  # a stage's output is there as a whole, or not at all
    team.run(dora, f"dvc {words}")
    assert team.run(dora, "avadclip features verify").count("no problems") == 2
    objects(dora / ".dvc" / "cache")


@pytest.mark.parametrize("url", ["ssh://127.0.0.1:1/srv", "/proc/no-such-disk/avadclip"])
def test_a_remote_that_is_not_there_is_named(team: Team, cleo: Path, url: str) -> None:
    team.run(cleo, f"dvc remote add --local --force gone {url}")
    output = team.run(cleo, "dvc push --remote gone prepare", expected=255)
    assert ("Connect call failed ('127.0.0.1', 1)" if "ssh" in url else "/proc/no-such-disk") in output


def test_every_command_of_the_page_was_run(team: Team) -> None:
    assert set(commands()) == team.ran
