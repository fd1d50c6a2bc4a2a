"""The variants that benchmarks/quality.py compares: name -> section of `train`, or of `distill`.

Variants whose names begin with `taught` belong to `distill`. `shipped` is section `train` of params.yaml; `has_sound`
says whether the data set has audio features.
"""

from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML

from avadclip import recipes
from avadclip.config.variants import Variant

Sections = dict[str, dict[str, Any]]

TEACHER = "audio_visual"
# AVadCLIP's detector as it was published, but with the learning rate, rounds and length that a small set needs: with
# the published ones (1e-5, 10 rounds, 256 snippets) it does not learn at all.
_RECIPE = {
    "rounds": 20,
    "batch_size": 32,
    "bag": {"kind": "shorten", "length": 48},
    "optimizer": {"learning_rate": 1e-4},
    "schedule": {"kind": "constant"},
}
_PAPER = {"kind": "audio_visual", "recipe": _RECIPE}
_PICTURES = {"modalities": ["visual"]}


def detectors(shipped: Sections, has_sound: bool) -> Sections:
    """The recommended detectors, plain heads, AVadCLIP's detector, and the zoo with its recipes for the demo world."""
    plain = {"kind": "mil_head"}
    return {
        "ensemble": _recommended(shipped, "ensemble"),
        "visual_ensemble": _recommended(shipped, "visual_ensemble"),
        "visual_ensemble_alone": _recommended_detector(shipped, has_sound=False),
        "mil_head": plain,
        "visual_mil_head": plain | _PICTURES,
        "audio_visual": _PAPER,
        "visual_baseline": _PAPER | _PICTURES | {"fusion": "none"},
        "audio_visual_released": {"kind": "audio_visual"},
        "visual_baseline_released": {"kind": "audio_visual", "fusion": "none"} | _PICTURES,
        **{
            name: _for_few_short_videos(shipped[name])
            for name in YAML(typ="safe", pure=True).load(recipes.DETECTORS / "zoo.yaml")
        },
    }


def switches(shipped: Sections, has_sound: bool) -> Sections:
    """The recommended recipe, and each switch alone."""
    base = _recommended_detector(shipped, has_sound)
    settings: Sections = {
        "no dropout": {"dropout": 0.0},
        "dropout 80 percent": {"dropout": 0.8},
        "one member": {"members": 1},
        "4 units": {"hidden": 4},
        "16 units": {"hidden": 16},
        "features as extracted": {"feature_norm": None},
        "no neighbours": {"context_seconds": 0},
        "neighbours of 3 s": {"context_seconds": 3},
        "neighbours of 8 s": {"context_seconds": 8},
    }
    recipes: Sections = {
        "mean of 6 rounds": {"average_rounds": 6},
        "24 rounds": {"rounds": 24},
        **_of_recipes(has_sound),
    }
    return _each(base, settings, recipes)


def switches_of_the_paper(shipped: Sections, has_sound: bool) -> Sections:
    """The paper's network in its released architecture, and each switch alone; then the helpful ones together."""
    base = _PAPER if has_sound else _PAPER | _PICTURES | {"fusion": "none"}
    together = {"feature_norm": 10.0, "feature_dropout": 0.5, "positions": False, "skip": True, "temperature": 1.0}
    settings: Sections = {
        "features of length 10": {"feature_norm": 10.0},
        "dropout before the branches": {"feature_dropout": 0.5},
        "no positions": {"positions": False},
        "windows of 16": {"local_window": 16},
        "skip": {"skip": True},
        "frozen prompts": {"freeze_prompts": True},
        "temperature 1": {"temperature": 1.0},
        "pretrained": {"pretraining_rounds": 10},
        "five together": together,
        "five together, pretrained": together | {"pretraining_rounds": 10},
    }
    return _each(base, settings, {"mean of 10 rounds": {"average_rounds": 10}, **_of_recipes(has_sound)})


def distillation(shipped: Sections, has_sound: bool) -> Sections:
    """The paper's teacher, its visual student alone, and the student with each part of the distillation."""
    recipe = _RECIPE | {"loss_weights": {"ukd": 1.0}}
    student: dict[str, Any] = {"kind": "student", "normalize_features": True, "recipe": recipe}
    parts: Sections = {
        "taught ukd": {},
        "taught ukd and scores": {"teacher_scores": 1.0},
        "taught ukd and class map": {"class_map": 1.0},
        "taught ukd and relations": {"relations": 10.0},
        "taught all": {"teacher_scores": 1.0, "class_map": 1.0, "relations": 10.0},
    }
    weighted = {
        name: student | {"recipe": recipe | {"loss_weights": {"ukd": 1.0} | more}} for name, more in parts.items()
    }
    alone = student | {"distillation": "none"}
    return {TEACHER: _PAPER, "student_alone": alone} | {_name(name): each for name, each in weighted.items()}


def teaching(shipped: Sections, has_sound: bool) -> Sections:
    """The recommended student alone, and taught with several weights."""
    student = _recommended(shipped, "visual_ensemble")
    recipe = student["recipe"]
    weights = {f"weight {w:g}": {"loss_weights": {"taught": w}} for w in (1.0, 4.0, 16.0, 64.0)}
    return {"alone": _without(student, "taught_by")} | {
        _name(name): student | {"recipe": recipe | weight} for name, weight in weights.items()
    }


def students(shipped: Sections, has_sound: bool) -> Sections:
    """The recommended student of each modality, alone and taught; and its teacher, as a detector of its own."""
    found = {"teacher": _recommended(shipped, "ensemble")}
    for name, modality in (("pictures", "visual"), ("sound", "audio")):
        student = _recommended(shipped, "visual_ensemble") | {"modalities": [modality]}
        found |= {f"{name}_alone": _without(student, "taught_by"), f"{name}_with_teacher": student}
    return found


def steps(shipped: Sections, has_sound: bool) -> Sections:
    """The recommended detectors with several numbers of steps that a round has at least, and a plain head."""
    found = {"mil_head": {"kind": "mil_head"} | ({} if has_sound else _PICTURES)}
    bases = {"ensemble": _recommended(shipped, "ensemble"), "visual_ensemble": _recommended(shipped, "visual_ensemble")}
    for name, base in bases.items() if has_sound else [("ensemble", _recommended_detector(shipped, has_sound))]:
        for n_steps in (1, 4, 8, 12, 20):
            found[f"{name}_{n_steps}"] = base | {"recipe": base["recipe"] | {"least_steps": n_steps}}
    return found


def calibration(shipped: Sections, has_sound: bool) -> Sections:
    """The recommended detector without calibration, and with each method."""
    base = _recommended_detector(shipped, has_sound)
    methods = ("none", "temperature", "platt", "isotonic")
    return {method: base | {"recipe": base["recipe"] | {"calibrate": method}} for method in methods}


def _of_recipes(has_sound: bool) -> Sections:
    found: Sections = {
        "no weight decay": {"optimizer": {"weight_decay": 0.0}},
        "weight decay 1": {"optimizer": {"weight_decay": 1.0}},
        "feature noise 30 percent": {"augment": {"feature_noise": 0.3}},
        "features dropped 30 percent": {"augment": {"feature_dropout": 0.3}},
        "normal videos mixed": {"augment": {"mix_normal": 0.5}},
    }
    return found | ({"a modality dropped 30 percent": {"augment": {"modality_dropout": 0.3}}} if has_sound else {})


def _each(base: dict[str, Any], settings: Sections, recipes: Sections) -> Sections:
    changed = {name: base | change for name, change in settings.items()}
    for name, change in recipes.items():
        merged = {
            key: base["recipe"].get(key, {}) | value if isinstance(value, dict) else value
            for key, value in change.items()
        }
        changed[name] = base | {"recipe": base["recipe"] | merged}
    return {"base": base} | {_name(name): each for name, each in changed.items()}


def _recommended_detector(shipped: Sections, has_sound: bool) -> dict[str, Any]:
    """Return the recommended detector of both modalities or, without sound, of pictures without a teacher."""
    if has_sound:
        return _recommended(shipped, "ensemble")
    return _without(_recommended(shipped, "visual_ensemble"), "taught_by")


def _recommended(shipped: Sections, name: str) -> dict[str, Any]:
    """Return a shipped section without calibration, which takes several trainings and changes neither AP nor AUC."""
    section = _without(shipped[name], "on")
    return section | {"recipe": _without(section["recipe"], "calibrate")}


def _for_few_short_videos(section: dict[str, Any]) -> dict[str, Any]:
    """Return a variant of the zoo as it is trained on the demo world, whose videos are as few and as short."""
    variant = Variant.model_validate(section)
    return {"kind": variant.kind} | variant.settings_on("demo")


def _without(section: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name != key}


def _name(words: str) -> str:
    """Make the name of a variant, which is part of paths and commands."""
    return words.replace(",", "").replace(" ", "_")


STUDIES: dict[str, Callable[[Sections, bool], Sections]] = {
    each.__name__: each
    for each in (detectors, switches, switches_of_the_paper, distillation, teaching, students, steps, calibration)
}
