"""Every detector takes features of any width: C3D 4096, I3D 1024, VGGish 128, and whatever else there is."""

import pytest
import torch

from avadclip.detectors.protocol import Batch, Dimensions
from avadclip.detectors.registry import build, kinds, needs, settings_of


@pytest.mark.slow
@pytest.mark.parametrize(("visual", "audio"), [(4096, 128), (1024, 512), (7, 3)])
@pytest.mark.parametrize("kind", kinds())
def test_any_width(kind: str, visual: int, audio: int) -> None:
    settings = settings_of(kind, {})
    widths = {"visual": visual, "audio": audio}
    wanted = {modality: widths[modality] for modality in needs(kind, settings).modalities}
    torch.manual_seed(0)
    detector = build(
        kind, settings, Dimensions(wanted, 3, 32, embedding_width=16, text_width=8, context_length=77)
    ).eval()
    n = detector.n_positions(5)
    batch = Batch(
        torch.randn(1, n, visual), torch.randn(1, n, audio), torch.ones(1, n, dtype=torch.bool), torch.tensor([5])
    )
    with torch.no_grad():
        scores = detector.scores(detector(batch), batch)
    assert scores.anomaly.shape == (1, n)
    assert scores.anomaly[:, :5].isfinite().all()
