"""Files in the layout of the authors' release: features, lists, annotations, checkpoints. Seeded, small, random."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avadclip.io import sha256_of

STRIDE = 16
# Id -> snippets. Names as in XD-Violence, two of them real.
TRAIN = {
    "Bad.Boys.1995__#00-01-00_00-01-20_label_G-B2-0": 20,
    "v=8cTqh9tMz_I__#1_label_A": 33,
    "train.fight__#1_label_B1-0-0": 17,
    "train.riot__#1_label_B4-0-0": 30,
    "train.abuse__#1_label_B5-B6-0": 18,
    "train.walk__#2_label_A": 40,
}
TEST = {
    "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6": 67,
    "Salt.2010__#00-29-53_00-30-37_label_B6-0-0": 300,
    "v=S-7rRLrxnVQ__#1_label_B4-0-0": 21,
    "test.talk__#1_label_A": 256,
}
ANNOTATIONS = {  # id -> code, start frame, end frame; one end lies in the last partial snippet
    "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6": [("G", 100, 200), ("B2", 400, 67 * STRIDE + 9)],
    "Salt.2010__#00-29-53_00-30-37_label_B6-0-0": [("B6", 320, 2000)],
    "v=S-7rRLrxnVQ__#1_label_B4-0-0": [("B4", 0, 150)],
}
TEST_VIEW = 5


def write_release(folder: Path, width: int = 512, n_views: int = 10, seed: int = 0) -> None:
    """Write ``visual/{XDtrain,XDtest}``, ``audio/{train,test}`` and ``list`` below a folder."""
    rng = np.random.default_rng(seed)
    for split, lengths in (("train", TRAIN), ("test", TEST)):
        for id_, n in lengths.items():
            for view in range(n_views):
                save(folder / "visual" / f"XD{split}" / f"{id_}__{view}.npy", rng.normal(size=(n, width)), np.float16)
            save(folder / "audio" / split / f"{id_}.npy", rng.normal(size=(n, width)), np.float32)
    write_lists(folder / "list", TRAIN, TEST, n_views)
    write_annotations(folder / "list", ANNOTATIONS)


def save(path: Path, values: np.ndarray, dtype: type = np.float16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values.astype(dtype))


def write_lists(folder: Path, train: Sequence[str] | Mapping, test: Sequence[str] | Mapping, n_views: int = 10) -> None:
    """Write both lists, with paths of another machine, as in the release."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, ids, views in (
        ("xd_CLIP_rgb.csv", train, range(n_views)),
        ("xd_CLIP_rgbtest.csv", test, [TEST_VIEW]),
    ):
        rows = [
            f"/home/wp/Desktop/XDClipFeatures/{id_}__{view}.npy,/home/wp/Desktop/XDClapFeatures/{id_}.npy,"
            + id_.rpartition("_label_")[2]
            for id_ in ids
            for view in views
        ]
        (folder / name).write_text("\n".join(["path,audio_path,label", *rows]) + "\n")


def write_annotations(folder: Path, annotations: Mapping[str, Sequence[tuple[str, int, int]]]) -> None:
    """Write both annotation files."""
    spans = [" ".join([id_, *(f"{a} {b}" for _, a, b in events)]) for id_, events in annotations.items()]
    labelled = [" ".join([id_, *(f"{c} {a} {b}" for c, a, b in events)]) for id_, events in annotations.items()]
    (folder / "annotations.txt").write_text("\n".join(spans) + "\n")
    (folder / "annotations_multiclasses.txt").write_text("\n".join(labelled) + "\n")


def released_tensors(
    role: str, *, width: int = 512, text_width: int = 64, text_layers: int = 2, n_classes: int = 7, seed: int = 0
) -> dict[str, Tensor]:
    """Make a state dict with the names and shapes of docs/released.md, and random values as large as trained ones.

    By default, the text tower is narrower and has fewer layers than CLIP's.
    """
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int, std: float) -> Tensor:
        return torch.randn(*shape, generator=random) * std

    tensors: dict[str, Tensor] = {}

    def affine(name: str, *shape: int) -> None:
        fan_in = torch.Size(shape[1:]).numel()
        tensors[f"{name}.weight"] = normal(*shape, std=fan_in**-0.5)
        tensors[f"{name}.bias"] = normal(shape[0], std=0.1)

    def norm(name: str, size: int) -> None:
        tensors[f"{name}.weight"] = 1 + normal(size, std=0.1)
        tensors[f"{name}.bias"] = normal(size, std=0.1)

    def block(name: str, size: int) -> None:
        tensors[f"{name}.attn.in_proj_weight"] = normal(3 * size, size, std=size**-0.5)
        tensors[f"{name}.attn.in_proj_bias"] = normal(3 * size, std=0.1)
        affine(f"{name}.attn.out_proj", size, size)
        norm(f"{name}.ln_1", size)
        norm(f"{name}.ln_2", size)
        affine(f"{name}.mlp.c_fc", 4 * size, size)
        affine(f"{name}.mlp.c_proj", size, 4 * size)

    half = width // 2
    if role != "VadCLIP":
        tensors["alpha"] = 0.25 + normal(n_classes, std=0.01)
    for layer in range(2 if role == "teacher" else 1):
        block(f"temporal.resblocks.{layer}", width)
    for first, second in (("gc1", "gc2"), ("gc3", "gc4")):
        tensors[f"{first}.weight"] = normal(width, half, std=width**-0.5)
        affine(f"{first}.residual", half, width, 5)
        tensors[f"{second}.weight"] = normal(half, half, std=half**-0.5)
    tensors["disAdj.sigma"] = torch.tensor([0.1])
    affine("linear", width, width)
    for name in ("mlp1", "mlp2"):
        affine(f"{name}.c_fc", 4 * width, width)
        affine(f"{name}.c_proj", width, 4 * width)
    affine("classifier", 1, width)
    tensors["frame_position_embeddings.weight"] = normal(256, width, std=0.1)
    tensors["text_prompt_embeddings.weight"] = normal(77, text_width, std=0.1)
    if role == "teacher":
        for name in ("gate_proj.0", "residual_proj.0"):
            affine(f"temporalgatedresidual.{name}", width, 2 * width)
        affine("temporalgatedresidual.residual_proj.2", width, width)
        for level in range(3):
            for at, convolution in ((0, "conv1"), (4, "conv2")):
                values = {
                    "bias": normal(width, std=0.1),
                    "weight_g": 1 + normal(width, 1, 1, std=0.1),
                    "weight_v": normal(width, width, 2, std=0.05),
                }
                for part, value in values.items():
                    tensors[f"temporalconvnet.network.{level}.{convolution}.{part}"] = value
                    tensors[f"temporalconvnet.network.{level}.net.{at}.{part}"] = value
    elif role == "student":
        for layer in range(3):
            affine(f"fe_net.conv.{layer}.conv.0", width, width, 3)
        affine("fe_net.theta.theta.0", width, width, 1)
        affine("fe_net.theta.theta.2", width, width, 3)
        affine("fe_net.theta.theta.3", width, width, 1)

    clip = "clipmodel."
    for layer in range(text_layers):
        block(f"{clip}transformer.resblocks.{layer}", text_width)
    tensors[f"{clip}token_embedding.weight"] = normal(49408, text_width, std=0.5)
    tensors[f"{clip}positional_embedding"] = normal(77, text_width, std=0.1)
    norm(f"{clip}ln_final", text_width)
    tensors[f"{clip}text_projection"] = normal(text_width, width, std=text_width**-0.5)
    tensors[f"{clip}logit_scale"] = torch.tensor(4.6)
    # Only a few tensors of the image tower, which is not needed.
    tensors[f"{clip}visual.class_embedding"] = normal(64, std=0.1)
    tensors[f"{clip}visual.conv1.weight"] = normal(64, 3, 16, 16, std=0.1)
    return tensors


def write_checkpoint(path: Path, role: str, **sizes: int) -> str:
    """Save :func:`released_tensors`; return the file's sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(released_tensors(role, **sizes), path)
    return sha256_of(path)
