"""Numbers of the paper (percent), for the data sets that it reports on: tables I to IX."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One row of the paper. `map_by_iou` is at IoU 0.1 ... 0.5."""

    method: str
    modality: str
    ap: float | None = None
    map_by_iou: tuple[float, ...] = ()
    average: float | None = None  # of `map_by_iou`


# The audio-visual systems before AVadCLIP had other features: I3D and VGGish.
I3D = "I3D, audio"

ROWS: dict[str, tuple[Published, ...]] = {
    "xd_violence": (
        Published("Random", "-", None, (1.82, 0.92, 0.48, 0.23, 0.09), 0.71),
        Published("DeepMIL", "visual", 75.18, (22.72, 15.57, 9.98, 6.20, 3.78), 11.65),
        Published("HL-Net", "visual", 80.00),
        Published("RTFM", "visual", 78.27),
        Published("AVVD", "visual", 78.10, (30.51, 25.75, 20.18, 14.83, 9.79), 20.21),
        Published("Ju et al.", "visual", 76.57),
        Published("UR-DMU", "visual", 82.41),
        Published("CLIP-TSA", "visual", 82.17),
        Published("AnomalyCLIP", "visual", 78.51),
        Published("TPWNG", "visual", 83.68),
        Published("VadCLIP", "visual", 84.51, (37.03, 30.84, 23.38, 17.90, 14.31), 24.70),
        Published("FVAI", I3D, 81.69),
        Published("MACIL-SD", I3D, 81.21),
        Published("CUPL", I3D, 81.43),
        Published("AVCL", I3D, 81.11),
        Published("AVadCLIP, audio, no distillation", "audio", 50.89, (), 12.20),
        Published("AVadCLIP, audio student", "audio", 52.51, (), 13.50),
        Published("AVadCLIP, no distillation", "visual", 84.60, (), 22.92),
        Published("AVadCLIP, visual student", "visual", 85.53, (39.63, 32.77, 26.84, 21.58, 16.39), 27.44),
        Published("AVadCLIP", "audio-visual", 86.04, (41.89, 34.61, 27.08, 22.16, 17.30), 28.61),
        Published("AVadCLIP trained on CCTV-Fights_sub", "audio-visual", 76.60),
    ),
    "cctv_fights": (
        Published("VadCLIP", "visual", 72.78, (19.34, 14.32, 9.25, 6.64, 3.73), 10.66),
        Published("MACIL-SD", I3D, 72.92),
        Published("UR-DMU, audio-visual", I3D, 72.97),
        Published("AVCL", I3D, 73.20),
        Published("AVadCLIP, no distillation", "visual", 67.89, (), 10.65),
        Published("AVadCLIP, visual student", "visual", 73.36, (21.10, 14.57, 9.01, 5.74, 4.69), 11.02),
        Published("AVadCLIP", "audio-visual", 73.38, (22.25, 15.91, 10.40, 7.00, 5.28), 12.17),
        Published("AVadCLIP trained on XD-Violence", "audio-visual", 69.24),
    ),
}
ROWS["xd_violence_released"] = ROWS["xd_violence"]

# Tables VI and VII; the last row of both is AVadCLIP itself.
ABLATIONS: dict[str, tuple[Published, ...]] = {
    "xd_violence": (
        Published("No fusion, prompt or focal loss", "visual", 79.85, (), 27.89),
        Published("Fusion", "audio-visual", 82.90, (), 26.63),
        Published("Fusion and prompt", "audio-visual", 86.18, (), 26.79),
        Published("Cross attention", "audio-visual", 75.15, (), 10.51),
        Published("Addition", "audio-visual", 83.02, (), 27.66),
        Published("Concatenation and a linear layer", "audio-visual", 83.36, (), 28.88),
    )
}
ABLATIONS["xd_violence_released"] = ABLATIONS["xd_violence"]


def published(kind: str, method: str) -> Published | None:
    """The paper's numbers for a method on data sets of a kind."""
    rows = (*ROWS.get(kind, ()), *ABLATIONS.get(kind, ()))
    return next((row for row in rows if row.method == method), None)
