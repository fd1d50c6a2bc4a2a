"""A map over rows on a real cluster of two nodes: whatever dies, every row ends once, and the row at fault is named."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")

from avadclip.cluster.mapping import Done, Lost, Row, map_rows
from avadclip.cluster.placement import Node, places
from avadclip.cluster.session import connected, import_ray
from avadclip.config.execution import Execution
from avadclip.errors import ClusterError, FeatureError, WeightsError
from tests.support.cluster_factory import Misbehaving, refuse_to_start

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def ray(cluster: Any) -> Iterator[Any]:
    with connected(Execution(engine="ray", address=cluster.address)) as ray:
        yield ray


def run(ray: Any, rows: Any, make: Any = Misbehaving, in_flight: int = 4, **execution: Any) -> dict[str, Done | Lost]:
    found: dict[str, Done | Lost] = {}
    for result in map_rows(
        ray,
        rows,
        make,
        Execution(engine="ray", **execution),
        root=str(Path.cwd()),
        in_flight_per_worker=in_flight,
        is_concurrent=True,
        may_use_gpu=False,
    ):
        assert result.key not in found
        found[result.key] = result
    return found


def numbered(words: list[str]) -> list[Row]:
    return [Row(f"{n} {word}", word) for n, word in enumerate(words)]


def test_rows_that_kill_their_worker_twice_are_lost_and_no_neighbour_is(ray: Any, tmp_path: Path) -> None:
    # The row that kills once is far from the others: if they ended its worker, that would count as its first death.
    words = ["fine"] * 5 + ["die"] + ["fine"] * 5 + ["raise"] + ["fine"] * 15 + [f"die_once {tmp_path / 'flag'}"]
    found = run(ray, numbered(words))
    assert len(found) == len(words)
    lost = {key: result.reason for key, result in found.items() if isinstance(result, Lost)}
    assert set(lost) == {"5 die", "11 raise"}
    assert lost["11 raise"] == "its worker died 2 times: RuntimeError: the device is gone"
    assert lost["5 die"].startswith("its worker died 2 times: ")
    pids = {result.result[1] for result in found.values() if isinstance(result, Done)}
    assert len(pids) >= 2


def test_without_retries_the_guilty_row_is_still_found_alone(ray: Any) -> None:
    found = run(ray, numbered(["fine", "die", "fine", "fine"]), retries=0)
    assert {key for key, result in found.items() if isinstance(result, Lost)} == {"1 die"}


def test_rows_are_read_only_as_fast_as_they_are_done(ray: Any) -> None:
    n_read, ahead = 0, []

    def rows() -> Iterator[Row]:
        nonlocal n_read
        for n in range(300):
            n_read += 1
            yield Row(str(n), "fine")

    execution = Execution(engine="ray")
    results = map_rows(
        ray,
        rows(),
        Misbehaving,
        execution,
        root=os.getcwd(),  # noqa: PTH109
        in_flight_per_worker=3,
        is_concurrent=False,
        may_use_gpu=False,
    )
    for n_done, _ in enumerate(results):
        ahead.append(n_read - n_done)
    assert len(ahead) == 300
    # Two workers hold three rows each, one row waits for room, and results that arrive together are handed over singly.
    assert max(ahead) <= 2 * 3 + 1 + 2 * 3


def test_an_error_of_ours_arrives_as_itself(ray: Any) -> None:
    with pytest.raises(FeatureError, match=r"^a file is damaged$"):
        run(ray, numbered(["fine", "ours"]))


def test_a_worker_that_cannot_be_made_says_why_and_where(ray: Any) -> None:
    with pytest.raises(WeightsError, match=r"^on \S+: no such file of weights$"):
        run(ray, numbered(["fine"]), refuse_to_start)


def test_a_cluster_without_room_is_no_reason_to_wait_for_ever(ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avadclip.cluster.mapping.PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("avadclip.cluster.mapping.LOOK_AROUND_SECONDS", 0.2)
    with pytest.raises(ClusterError, match=r"a worker takes 5 CPUs .* 127.0.0.2: 1 CPUs, 0 GPUs, 127.0.0.2: 1 CPUs"):
        run(ray, numbered(["fine"]), cpus_per_worker=5)


def test_an_address_where_there_is_no_cluster() -> None:
    with (
        pytest.raises(ClusterError, match=r"execution.address: no Ray cluster at 'nowhere'.*ray start --head"),
        connected(Execution(engine="ray", address="nowhere")),
    ):
        pass


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avadclip.cluster.session.find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install '.\[cluster\]'"):
        import_ray()


CPU, SMALL, GPU = Node("a", "10.0.0.1", 16, 0), Node("b", "10.0.0.2", 3, 0), Node("c", "10.0.0.3", 16, 4)


@pytest.mark.parametrize(
    ("nodes", "execution", "may_use_gpu", "expected"),  # expected: node, CPUs, GPUs, threads
    [
        ([CPU, SMALL], {}, True, [("a", 16, 0, None), ("b", 3, 0, None)]),
        ([CPU, SMALL], {"cpus_per_worker": 8}, True, [("a", 8, 0, 8), ("a", 8, 0, 8)]),
        ([CPU, GPU], {}, True, [("c", 4, 1, None)] * 4),
        ([CPU, GPU], {}, False, [("a", 16, 0, None), ("c", 16, 0, None)]),
        ([GPU], {"gpus_per_worker": 0.5}, True, [("c", 2, 0.5, None)] * 8),
        ([GPU], {"gpus_per_worker": 2.0, "cpus_per_worker": 6}, True, [("c", 6, 2, 6)] * 2),
        ([GPU], {"cpus_per_worker": 6}, True, [("c", 6, 1, 6)] * 2),
        ([CPU], {"gpus_per_worker": 1.0}, True, []),
        ([], {}, True, []),
    ],
)
def test_places(nodes: list[Node], execution: dict[str, Any], may_use_gpu: bool, expected: list[Any]) -> None:
    found = places(nodes, Execution(**execution), may_use_gpu)
    assert [(p.node.id, p.cpus, p.gpus, p.threads) for p in found] == expected
