"""A frozen network on its devices: each batch gives its own features, whatever is begun in between."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avadclip import device
from avadclip.device import resolve_devices
from avadclip.encoders.tower import Tower
from avadclip.errors import ConfigError, FeatureError

CPU = torch.device("cpu")


def batches() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, 6), np.float32) for n in (1, 4, 3, 2)]


def in_pairs(batch: Tensor) -> list[Tensor]:
    return [batch[start : start + 2] for start in range(0, len(batch), 2)]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 5)).eval().requires_grad_(False)


@pytest.mark.parametrize("n_devices", [1, 2, 3])
def test_batches_are_shared_out_and_come_back_as_themselves(n_devices: int) -> None:
    tower = Tower(network(), "float32", [CPU] * n_devices)
    begun = [tower.begin(batch, in_pairs) for batch in batches()]
    for features, batch in zip(begun, batches(), strict=True):
        expected = np.concatenate([network()(pair).numpy() for pair in in_pairs(torch.from_numpy(batch))])
        np.testing.assert_array_equal(features(), expected.astype(np.float16))


def test_nothing_is_begun_ahead_on_a_cpu() -> None:
    assert Tower(network(), "float32", [CPU]).ahead == 0


def test_features_that_are_not_finite_are_found_when_they_are_awaited() -> None:
    tower = Tower(network(), "float32", [CPU])
    begun = tower.begin(np.full((2, 6), np.nan, np.float32), in_pairs)
    with pytest.raises(FeatureError, match=r"in torch\.float32 on cpu: features are not finite"):
        begun()


class TooLarge(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_a_batch_that_does_not_fit_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"cpu: 4 rows do not fit into its memory; lower `batch_size`.*20\.00 GiB"):
        Tower(TooLarge(), "float32", [CPU]).begin(batches()[1], in_pairs)


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([], "'all' was asked for, but torch .* sees no CUDA device; write `auto` or `cpu`"),
        (["A100", "A100"], ["cuda:0", "cuda:1"]),
        (["H100"], ["cuda:0"]),
        (["A100", "T4"], "would give different last digits: A100, T4; name one"),
    ],
)
def test_all_gpus_of_a_machine(gpus: list[str], expected: list[str] | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.torch.cuda, "device_count", lambda: len(gpus))
    monkeypatch.setattr(device.torch.cuda, "get_device_name", lambda index: gpus[index])
    if isinstance(expected, list):
        assert [str(each) for each in resolve_devices("all")] == expected
    else:
        with pytest.raises(ConfigError, match=expected):
            resolve_devices("all")


def test_one_device_is_resolved_as_ever() -> None:
    assert resolve_devices("cpu") == [CPU]
