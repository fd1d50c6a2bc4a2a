"""The rows and columns of the paper's tables, the variant of each row, and the paper's claims."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AVERAGE = "AVG"

# Kind -> how certain it is that a detector is the published system, if there was no code of its authors to follow.
# All other kinds follow their authors' code (A). Tables show the letter beside the row.
CERTAINTY: Mapping[str, str] = {
    "avcl": "C",
    "avvd": "D",
    "cupl": "C",
    "efficient_prompt": "D",
    "fvai": "C",
    "tpwng": "B",
}
MADE_FROM = {"B": "from the paper", "C": "from the paper's abstract", "D": "for the most part ours"}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    label : text of the row.
    variant : the one whose record fills it.
    settings : that the variant must have, `kind` among them; a tuple has all that are suitable.
    method : its name in the published numbers; None: there are none.
    """

    label: str
    variant: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    method: str | None = None

    def differing(self, found: Mapping[str, Any]) -> list[str]:
        """Settings in which a detector differs from this row."""
        suits = {key: value if isinstance(value, tuple) else (value,) for key, value in self.settings.items()}
        return [f"{key}: {found.get(key)!r}" for key, values in suits.items() if found.get(key) not in values]


@dataclass(frozen=True)
class Expectation:
    """A claim of the paper: `better` is above every one of `worse`.

    Attributes
    ----------
    text : the claim in words.
    better, worse : variants.
    metric : ``AP`` or ``AVG``.
    switches : settings that may differ between them, because the claim is about these.
    """

    text: str
    better: str
    worse: tuple[str, ...]
    metric: str
    switches: frozenset[str]


@dataclass(frozen=True)
class Layout:
    """One table of the paper.

    Attributes
    ----------
    number : Roman numeral.
    columns : ``AP`` and ``AVG``; ``IoU`` stands for mAP at each threshold and their mean.
    others : whether detectors that are not in the paper are shown below its rows.
    across : whether the rows are data sets that one detector was trained on.
    """

    number: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    expectations: tuple[Expectation, ...] = ()
    others: bool = False
    across: bool = False


def _ours(**settings: Any) -> dict[str, Any]:
    return {"kind": "audio_visual", "modalities": ["visual", "audio"], "fusion": "adaptive"} | settings


def _student(modality: str, distillation: str) -> dict[str, Any]:
    return {"kind": "student", "modality": modality, "distillation": distillation}


RANDOM = Row("Random", "random", {}, "Random")
DEEP_MIL = Row("DeepMIL (CVPR 2018), visual", "deep_mil", {"kind": "deep_mil"}, "DeepMIL")
AVVD = Row("AVVD (TMM 2022), visual", "avvd_visual", {"kind": "avvd", "modalities": ["visual"]}, "AVVD")
VADCLIP = Row("VadCLIP (AAAI 2024), visual", "vadclip", {"kind": "vadclip"}, "VadCLIP")
MACIL_SD = Row(
    "MACIL-SD (ACM MM 2022), audio-visual",
    "macil_sd",
    {"kind": "macil_sd", "modalities": ["visual", "audio"]},
    "MACIL-SD",
)
AVCL = Row("AVCL (TMM 2025), audio-visual", "avcl", {"kind": "avcl"}, "AVCL")
AUDIO_VISUAL = Row("AVadCLIP, audio-visual", "audio_visual", _ours(), "AVadCLIP")
STUDENT = Row("AVadCLIP, visual", "visual_student", _student("visual", "ukd"), "AVadCLIP, visual student")

COARSE = (
    RANDOM,
    DEEP_MIL,
    Row(
        "Wu et al., HL-Net (ECCV 2020), visual", "hl_net_visual", {"kind": "hl_net", "modalities": ["visual"]}, "HL-Net"
    ),
    Row("RTFM (ICCV 2021), visual", "rtfm", {"kind": "rtfm"}, "RTFM"),
    AVVD,
    Row(
        "Ju et al. (ECCV 2022), visual",
        "efficient_prompt",
        {"kind": "efficient_prompt", "modality": "visual"},
        "Ju et al.",
    ),
    Row("UR-DMU (AAAI 2023), visual", "ur_dmu", {"kind": "ur_dmu", "modalities": ["visual"]}, "UR-DMU"),
    Row("CLIP-TSA (ICIP 2023), visual", "clip_tsa", {"kind": "clip_tsa"}, "CLIP-TSA"),
    Row("AnomalyCLIP (CVIU 2024), visual", "anomaly_clip", {"kind": "anomaly_clip"}, "AnomalyCLIP"),
    Row("TPWNG (CVPR 2024), visual", "tpwng", {"kind": "tpwng", "modality": "visual"}, "TPWNG"),
    VADCLIP,
    STUDENT,
    Row("FVAI (ICASSP 2021), audio-visual", "fvai", {"kind": "fvai"}, "FVAI"),
    MACIL_SD,
    Row("CUPL (CVPR 2023), audio-visual", "cupl", {"kind": "cupl", "modalities": ["visual", "audio"]}, "CUPL"),
    AVCL,
    AUDIO_VISUAL,
)
OTHER_DMU = Row(
    "UR-DMU (AAAI 2023), audio-visual",
    "ur_dmu_audio_visual",
    {"kind": "ur_dmu", "modalities": ["visual", "audio"]},
    "UR-DMU, audio-visual",
)
FINE = (RANDOM, DEEP_MIL, AVVD, VADCLIP, STUDENT, AUDIO_VISUAL)

PROMPT = ("released", "paper")
NO_FUSION = _ours(modalities=["visual"], fusion="none", av_prompt="none", focal=False)
MODULES = (
    Row("no fusion, no prompt, no focal loss", "vision_alone", NO_FUSION, "No fusion, prompt or focal loss"),
    Row("fusion", "fusion_alone", _ours(av_prompt="none", focal=False), "Fusion"),
    Row("fusion, prompt", "fusion_and_prompt", _ours(av_prompt=PROMPT, focal=False), "Fusion and prompt"),
    Row("fusion, prompt, focal loss", "audio_visual", _ours(av_prompt=PROMPT, focal=True), "AVadCLIP"),
)
FUSIONS = (
    Row("cross attention", "fusion_cross_attention", _ours(fusion="cross_attention"), "Cross attention"),
    Row("element-wise addition", "fusion_add", _ours(fusion="add"), "Addition"),
    Row(
        "concatenation, linear layer",
        "fusion_concat_linear",
        _ours(fusion="concat_linear"),
        "Concatenation and a linear layer",
    ),
    Row("adaptive fusion", "audio_visual", _ours(), "AVadCLIP"),
)
DISTILLATION = (
    Row("audio, without UKD", "audio_untaught", _student("audio", "none"), "AVadCLIP, audio, no distillation"),
    Row("audio, with UKD", "audio_student", _student("audio", "ukd"), "AVadCLIP, audio student"),
    Row("visual, without UKD", "visual_untaught", _student("visual", "none"), "AVadCLIP, no distillation"),
    Row("visual, with UKD", "visual_student", _student("visual", "ukd"), "AVadCLIP, visual student"),
    Row("audio-visual", "audio_visual", _ours(), "AVadCLIP"),
)
TAUGHT = frozenset({"distillation"})
UKD = tuple(
    Expectation(f"UKD helps the {name} model", f"{name}_student", (f"{name}_untaught",), metric, TAUGHT)
    for name in ("audio", "visual")
    for metric in ("AP", AVERAGE)
)
# Two networks, of which one uses sound: all settings may differ.
HEARS = tuple(
    Expectation("sound helps", "audio_visual", ("visual_student",), metric, frozenset({"*"}))
    for metric in ("AP", AVERAGE)
)

TABLES = {
    table.number: table
    for table in (
        Layout("I", "Coarse-grained, XD-Violence in the paper", ("AP",), COARSE, HEARS[:1], others=True),
        Layout(
            "II",
            "Coarse-grained, CCTV-Fights_sub in the paper",
            ("AP",),
            (RANDOM, VADCLIP, STUDENT, MACIL_SD, OTHER_DMU, AVCL, AUDIO_VISUAL),
            HEARS[:1],
            others=True,
        ),
        Layout("III", "Fine-grained, XD-Violence in the paper", ("IoU",), FINE, HEARS[1:], others=True),
        Layout(
            "IV",
            "Fine-grained, CCTV-Fights_sub in the paper",
            ("IoU",),
            (RANDOM, VADCLIP, STUDENT, AUDIO_VISUAL),
            HEARS[1:],
            others=True,
        ),
        Layout("V", "Trained on one data set, tested on another", ("AP",), (AUDIO_VISUAL,), across=True),
        Layout(
            "VI",
            "What the modules add",
            ("AP", AVERAGE),
            MODULES,
            (
                Expectation(
                    "fusion helps", "fusion_alone", ("vision_alone",), "AP", frozenset({"modalities", "fusion"})
                ),
                Expectation("prompt helps", "fusion_and_prompt", ("fusion_alone",), "AP", frozenset({"av_prompt"})),
                Expectation("focal loss helps", "audio_visual", ("fusion_and_prompt",), AVERAGE, frozenset({"focal"})),
            ),
        ),
        Layout(
            "VII",
            "How vision and sound are joined",
            ("AP", AVERAGE),
            FUSIONS,
            (
                Expectation(
                    "adaptive fusion first",
                    "audio_visual",
                    ("fusion_cross_attention", "fusion_add", "fusion_concat_linear"),
                    "AP",
                    frozenset({"fusion"}),
                ),
            ),
        ),
        Layout("VIII", "One network with and without its teacher", ("AP", AVERAGE), DISTILLATION, UKD),
        Layout("IX", "One network with and without its teacher", ("AP", AVERAGE), DISTILLATION[2:], UKD[2:]),
    )
}
