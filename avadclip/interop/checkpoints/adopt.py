"""A released checkpoint as a variant of `train`: the stage imports it, and all later stages run as usual."""

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from avadclip import paths
from avadclip.config.datasets import Dataset
from avadclip.config.features import Modality, Weights
from avadclip.config.variants import Released
from avadclip.detectors.checkpoint import Checkpoint, dimensions_of, save_checkpoint, save_refusal
from avadclip.detectors.description import Description
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Detector, Dimensions, Needs
from avadclip.detectors.registry import build, settings_of, unmet
from avadclip.encoders.lean import lean_imports
from avadclip.encoders.weights import locate
from avadclip.errors import CheckpointError
from avadclip.interop.checkpoints import names
from avadclip.interop.checkpoints.published import Published, build_published, find
from avadclip.interop.checkpoints.state_dict import read_tensors
from avadclip.store import FeatureFolder
from avadclip.store.video import Folders, open_folders

logger = logging.getLogger(__name__)

CLASS_EMBEDDINGS, FOCAL = "branches.prompts.class_embeddings", "branches.focal_weights"
HEAD_WIDTH = 64  # of every CLIP by OpenAI


def adopt_checkpoint(dataset: str, section: Dataset, variant: str, seed: int, released: Released) -> None:
    """Import the checkpoint that a variant names, for the features of a data set.

    It does not depend on a seed; `seed` only names the folder in ``runs``.

    Raises
    ------
    WeightsError : no such file, or not the pinned one.
    CheckpointError : the file is not a released detector, or not for these classes or features.
    FeatureError : there are no features of this data set.
    """
    path = locate(released.released, None, f"train.{variant}.released")
    found = recognised(path)
    modalities = _looked_at(found, dataset)
    if (reason := unmet(Needs(modalities), dataset, section)) is not None:
        logger.warning("%s/%s: not imported: %s", dataset, variant, reason)
        save_refusal(paths.run(dataset, variant, seed), reason)
        return
    folders = open_folders(dataset, modalities)
    checkpoint = assemble(found, released.released, dataset, section, variant, folders)
    _check_widths(checkpoint, folders)
    save_checkpoint(paths.run(dataset, variant, seed), checkpoint.detector, checkpoint.description)
    unused = () if isinstance(found, Published) else found.unused
    logger.info(
        "%s/%s: %s imported from %s; not needed from it: %s",
        *(dataset, variant, checkpoint.description.kind, path, ", ".join(_grouped(unused)) or "nothing"),
    )


def recognised(path: Path) -> names.Released | Published:
    """The detector in a file: AVadCLIP's teacher or student, VadCLIP, or another published detector.

    Raises
    ------
    CheckpointError : the file is not a known detector, or not complete.
    """
    tensors = read_tensors(path)
    return find(tensors, str(path)) or names.sort(tensors, str(path))


def assemble(
    released: names.Released | Published, file: Weights, dataset: str, section: Dataset, variant: str, folders: Folders
) -> Checkpoint:
    """The detector and its description; without `folders`, the features are assumed to be those that it expects."""
    classes = section.classes
    if isinstance(released, Published):
        widths = {modality: _width(folder) for modality, folder in folders.items()} or None
        detector = build_published(released, widths, len(classes), file.path or "")
        kind, text_tower = released.kind, None
    else:
        kind, detector = _of_avadclip(released, Path(file.path or ""), dataset, classes)
        text_tower = {"encoder": "the checkpoint's own CLIP", "sha256": file.sha256 or ""}
    detector.eval().requires_grad_(False)
    description = Description(
        dataset=dataset,
        variant=variant,
        kind=kind,
        settings=detector.settings.model_dump(mode="json"),
        modalities=detector.modalities,
        dimensions=dimensions_of(detector),
        classes=classes,
        recipes={modality: dict(folders[modality].recipe) for modality in detector.modalities if folders},
        text_tower=text_tower,
        selection="released_test_selected",
        round=0,
        seed=None,
        imported={"file": Path(file.path or "").name, "sha256": file.sha256 or ""},
    )
    return Checkpoint(detector, description)


def _of_avadclip(released: names.Released, path: Path, dataset: str, classes: tuple[str, ...]) -> tuple[str, Detector]:
    """Kind and detector, with X_c computed by the checkpoint's own prompts and text tower."""
    tensors = released.detector
    if FOCAL in tensors and len(tensors[FOCAL]) != len(classes):
        raise CheckpointError(
            f"{path}: has {len(tensors[FOCAL])} classes, but datasets.{dataset}.classes has {len(classes)}; they must"
            " be those of the release, in its order"
        )
    kind, settings = _settings(released)
    tower = tower_of(released.text, classes, path)
    detector = build(kind, settings_of(kind, settings), _dimensions(released, len(classes)), tower)
    try:
        missing, _ = detector.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: tensors of unexpected shapes: {error}") from None
    assert missing == [CLASS_EMBEDDINGS]  # `sort` sees to all others
    return kind, detector


def tower_of(text: dict[str, Tensor], classes: tuple[str, ...], path: Path) -> TextTower:
    """CLIP's text tower from its tensors, of any depth and width; the image tower beside it is a dummy."""
    with lean_imports():  # every training imports this module, and hardly any imports a checkpoint
        import open_clip
    vocabulary, width = text["token_embedding.weight"].shape
    context_length = len(text["positional_embedding"])
    clip = open_clip.CLIP(
        embed_dim=text["text_projection"].shape[-1],
        vision_cfg={"image_size": 16, "patch_size": 16, "layers": 1, "width": HEAD_WIDTH},
        text_cfg={
            "context_length": context_length,
            "vocab_size": vocabulary,
            "width": width,
            "heads": max(1, width // HEAD_WIDTH),
            "layers": 1 + max(int(name.split(".")[2]) for name in text if name.startswith("transformer.")),
        },
        quick_gelu=True,
    )
    try:
        clip.load_state_dict(text, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its CLIP has tensors of unexpected shapes: {error}") from None
    token_ids = open_clip.tokenize(list(classes), context_length)
    if int(token_ids.max()) >= vocabulary:
        raise CheckpointError(
            f"{path}: its CLIP has {vocabulary} tokens, but CLIP's tokenizer has 49408; get another file"
        )
    return TextTower(clip, token_ids)


def _settings(released: names.Released) -> tuple[str, dict[str, Any]]:
    """Kind and settings. Window, prefix and suffix are not visible in a checkpoint; our defaults are as released."""
    layers = {"local_layers": released.n_local_layers}
    match released.role:
        case "teacher":
            return "audio_visual", {**layers, "audio_levels": released.n_audio_levels}
        case "student":
            return "student", {**layers, "enhancement_layers": released.n_enhancement_layers}
        case "VadCLIP":
            return "vadclip", layers


def _dimensions(released: names.Released, n_classes: int) -> Dimensions:
    tensors, text = released.detector, released.text
    max_snippets, visual_width = tensors["temporal.positions"].shape
    widths: dict[Modality, int] = {"visual": visual_width}
    if released.role == "teacher":
        widths["audio"] = tensors["audio.levels.0.first.parametrizations.weight.original1"].shape[1]
    return Dimensions(
        widths=widths,
        n_classes=n_classes,
        max_snippets=max_snippets,
        embedding_width=tensors["temporal.linear.weight"].shape[0],
        text_width=text["token_embedding.weight"].shape[1],
        context_length=len(text["positional_embedding"]),
    )


def _looked_at(released: names.Released | Published, dataset: str) -> tuple[Modality, ...]:
    """The modalities whose features are needed; for another published detector all, because their widths decide."""
    if isinstance(released, Published):
        there: tuple[Modality, ...] = ("visual", "audio")
        return tuple(
            modality for modality in there if modality == "visual" or paths.features(dataset, modality).is_dir()
        )
    return ("visual", "audio") if released.role == "teacher" else ("visual",)


def _check_widths(checkpoint: Checkpoint, folders: Folders) -> None:
    for modality, expected in checkpoint.detector.dimensions.widths.items():
        folder = folders[modality]
        found = _width(folder)
        if found != expected:
            raise CheckpointError(
                f"{folder.folder}: {modality} features of width {found}, but the checkpoint expects {expected}; it"
                " belongs to another data set (a target such as `dvc repro evaluate@<data set>` leaves others alone)"
            )


def _width(folder: FeatureFolder) -> int:
    return int(folder.read(folder.ids[0]).values.shape[-1]) if folder.ids else 0


def _grouped(unused: tuple[str, ...]) -> list[str]:
    """Names without those of the image tower, which are many, and without copies."""
    groups = ["clipmodel.visual.*" if name.startswith("clipmodel.visual.") else name for name in unused]
    groups = ["temporalconvnet.*.net.*" if ".net." in name else name for name in groups]
    return list(dict.fromkeys(groups))
