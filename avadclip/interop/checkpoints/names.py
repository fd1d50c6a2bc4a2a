"""The names of the authors' state dict, in our modules' order (docs/released.md, "Released checkpoint layout")."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from avadclip.errors import CheckpointError
from avadclip.interop.checkpoints.state_dict import listed

CLIP = "clipmodel."
TEXT = ("token_embedding.weight", "positional_embedding", "ln_final.weight", "ln_final.bias", "text_projection")
# The image tower made the features and is not needed; the authors do not use `sigma` either.
UNUSED = re.compile(r"disAdj\.sigma|clipmodel\.(visual\..+|logit_scale|input_resolution|context_length|vocab_size)")
_REPEATED = re.compile(r"(temporalconvnet\.network\.\d+)\.net\.([04])\.(.+)")
_FIRST, _SECOND = "conv1", "conv2"
NAMES = {"teacher": "a teacher of the release", "student": "a student of the release", "VadCLIP": "VadCLIP"}
FOCAL = {"branches.focal_weights": "alpha"}
# All sizes are read from these.
DIMENSIONS = {
    "alpha": 1,
    "frame_position_embeddings.weight": 2,
    "linear.weight": 2,
    "temporalconvnet.network.0.conv1.weight_v": 3,
    "clipmodel.token_embedding.weight": 2,
    "clipmodel.positional_embedding": 2,
    "clipmodel.text_projection": 2,
}
# Convolutions over single snippets are linear layers here.
_POINTWISE = ("uncertainty.inner.weight", "uncertainty.outer.weight")

Role = Literal["teacher", "student", "VadCLIP"]


@dataclass(frozen=True)
class Released:
    """The tensors of a released detector, sorted.

    Attributes
    ----------
    role : the audio-visual detector, its visual student, or VadCLIP, from which both grew.
    detector : tensors of the detector by *our* names; all except X_c, which the text tower gives.
    text : tensors of CLIP's text tower by OpenAI's names.
    unused : names that are known but not needed.
    """

    role: Role
    detector: dict[str, Tensor]
    text: dict[str, Tensor]
    unused: tuple[str, ...]
    n_local_layers: int
    n_audio_levels: int
    n_enhancement_layers: int


def sort(tensors: Mapping[str, Tensor], origin: str) -> Released:
    """Recognise the detector by the keys, and translate the names.

    Raises
    ------
    CheckpointError : lists every name that is missing or unknown, and repeated tensors that differ.
    """
    role = _role(tensors, origin)
    layers = _count(tensors, r"temporal\.resblocks\.(\d+)\.")
    levels = _count(tensors, r"temporalconvnet\.network\.(\d+)\.") if role == "teacher" else 0
    enhancements = _count(tensors, r"fe_net\.conv\.(\d+)\.") if role == "student" else 0
    own = dict(_common(layers))
    match role:
        case "teacher":
            own |= FOCAL | _teacher(levels)
        case "student":
            own |= FOCAL | _student(enhancements)
        case "VadCLIP":
            pass
    text = {name: CLIP + name for name in [*TEXT, *_text_blocks(tensors)]}

    wanted = {*own.values(), *text.values()}
    repeated = {name: _original(match) for name in tensors if (match := _REPEATED.fullmatch(name))}
    unused = [name for name in tensors if UNUSED.fullmatch(name)]
    problems = []
    if missing := sorted(wanted - tensors.keys()):
        problems.append(f"{len(missing)} tensors are missing: {listed(missing)}")
    if unknown := sorted(tensors.keys() - wanted - repeated.keys() - set(unused)):
        problems.append(f"{len(unknown)} tensors are unknown: {listed(unknown)}")
    problems += [
        f"{name} has {tensors[name].ndim} dimensions, expected {n}"
        for name, n in DIMENSIONS.items()
        if name in tensors and tensors[name].ndim != n
    ]
    problems += [
        f"{copy} differs from {original}, of which it is a copy"
        for copy, original in repeated.items()
        if original in tensors and not torch.equal(tensors[copy], tensors[original])
    ]
    if problems:
        raise CheckpointError("\n  ".join([f"{origin}: looks like {NAMES[role]}, but", *problems]))
    return Released(
        role,
        {ours: _as_ours(ours, tensors[theirs]) for ours, theirs in own.items()},
        {name: tensors[theirs].float() for name, theirs in text.items()},
        (*unused, *repeated),
        layers,
        levels,
        enhancements,
    )


def _as_ours(name: str, tensor: Tensor) -> Tensor:
    return (tensor.squeeze(-1) if name in _POINTWISE else tensor).float()


def _role(tensors: Mapping[str, Tensor], origin: str) -> Role:
    heard = any(name.startswith(("temporalconvnet.", "temporalgatedresidual.")) for name in tensors)
    taught = any(name.startswith("fe_net.") for name in tensors)
    if not heard and not taught and {"text_prompt_embeddings.weight", "gc1.weight"} <= tensors.keys():
        return "VadCLIP"
    if heard == taught:
        found = "both" if heard else "neither"
        raise CheckpointError(
            f"{origin}: not a known detector: of AVadCLIP, a teacher has tensors `temporalconvnet.*` and"
            f" `temporalgatedresidual.*`, a student `fe_net.*`, this file has {found}; its names: {listed([*tensors])}"
        )
    return "teacher" if heard else "student"


def _count(names: Iterable[str], pattern: str) -> int:
    return max((int(match[1]) + 1 for name in names if (match := re.match(pattern, name))), default=0)


def _common(n_layers: int) -> dict[str, str]:
    names = {
        "temporal.positions": "frame_position_embeddings.weight",
        "branches.prompts.context": "text_prompt_embeddings.weight",
        **_affine("temporal.linear", "linear"),
        **_affine("branches.classifier", "classifier"),
        **_mlp("branches.prompt_mlp", "mlp1"),
        **_mlp("branches.classifier_mlp", "mlp2"),
    }
    for graph, first, second in (("similarity_graph", "gc1", "gc2"), ("distance_graph", "gc3", "gc4")):
        names[f"temporal.{graph}.first"] = f"{first}.weight"
        names[f"temporal.{graph}.second"] = f"{second}.weight"
        names |= _affine(f"temporal.{graph}.beside", f"{first}.residual")
    for layer in range(n_layers):
        ours, theirs = f"temporal.local.{layer}", f"temporal.resblocks.{layer}"
        names |= _affine(f"{ours}.attention_norm", f"{theirs}.ln_1") | _affine(f"{ours}.mlp_norm", f"{theirs}.ln_2")
        names |= _affine(f"{ours}.attention_out", f"{theirs}.attn.out_proj") | _mlp(f"{ours}.mlp", f"{theirs}.mlp")
        names[f"{ours}.query_key_value.weight"] = f"{theirs}.attn.in_proj_weight"
        names[f"{ours}.query_key_value.bias"] = f"{theirs}.attn.in_proj_bias"
    return names


def _teacher(n_levels: int) -> dict[str, str]:
    names = {
        **_affine("fusion.gate", "temporalgatedresidual.gate_proj.0"),
        **_affine("fusion.residual_in", "temporalgatedresidual.residual_proj.0"),
        **_affine("fusion.residual_out", "temporalgatedresidual.residual_proj.2"),
    }
    for level in range(n_levels):
        for ours, theirs in (("first", _FIRST), ("second", _SECOND)):
            convolution, released = f"audio.levels.{level}.{ours}", f"temporalconvnet.network.{level}.{theirs}"
            names[f"{convolution}.bias"] = f"{released}.bias"
            names[f"{convolution}.parametrizations.weight.original0"] = f"{released}.weight_g"
            names[f"{convolution}.parametrizations.weight.original1"] = f"{released}.weight_v"
    return names


def _student(n_enhancements: int) -> dict[str, str]:
    names = {
        **_affine("uncertainty.inner", "fe_net.theta.theta.0"),
        **_affine("uncertainty.neighbours", "fe_net.theta.theta.2"),
        **_affine("uncertainty.outer", "fe_net.theta.theta.3"),
    }
    for layer in range(n_enhancements):
        names |= _affine(f"enhancement.{layer}", f"fe_net.conv.{layer}.conv.0")
    return names


def _text_blocks(tensors: Iterable[str]) -> list[str]:
    block = ["attn.in_proj_weight", "attn.in_proj_bias"]
    block += [name for part in ("attn.out_proj", "ln_1", "ln_2") for name in _affine(part, part)]
    block += list(_affine("mlp.c_fc", "")) + list(_affine("mlp.c_proj", ""))
    n_layers = _count(tensors, r"clipmodel\.transformer\.resblocks\.(\d+)\.")
    return [f"transformer.resblocks.{layer}.{name}" for layer in range(max(1, n_layers)) for name in block]


def _affine(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}


def _mlp(ours: str, theirs: str) -> dict[str, str]:
    return _affine(f"{ours}.expand", f"{theirs}.c_fc") | _affine(f"{ours}.contract", f"{theirs}.c_proj")


def _original(match: re.Match[str]) -> str:
    # The authors register both convolutions a second time, in a sequence.
    return f"{match[1]}.{_FIRST if match[2] == '0' else _SECOND}.{match[3]}"
