"""Real recordings through the encoders of the demo world, with and without sound."""

from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest

from avadclip import config
from avadclip.prediction.predictor import Predictor
from tests.support.dvc_project import ROOT
from tests.support.prediction_factory import write_model_folder

SAMPLES = Path(find_spec("iscc_samples").origin).parent / "files" / "video"


def without_sound(source: Path, target: Path) -> Path:
    """Copy the pictures, packet by packet."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as silent:
        stream = silent.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                silent.mux(packet)
    return target


@pytest.mark.slow
def test_recordings_go_through_the_demo_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "avadclip").symlink_to(ROOT / "avadclip")  # params.yaml names the weights from there
    monkeypatch.chdir(tmp_path)
    params = config.load(ROOT / "params.yaml")
    pair = {"detector": "audio_visual", "student": "visual_student"}
    model = write_model_folder(params.model_copy(update={"score": params.score.model_copy(update=pair)}), "demo")
    videos = [SAMPLES / "demo.mp4", SAMPLES / "demo.webm", without_sound(SAMPLES / "demo.mp4", tmp_path / "silent.mp4")]
    with Predictor(model, "cpu") as predictor:
        loud, webm, silent = map(predictor.predict, videos)
    assert (loud.decided_by, webm.decided_by, silent.decided_by) == ("audio_visual", "audio_visual", "visual_student")
    assert (loud.has_audio, webm.has_audio, silent.has_audio) == (True, True, False)
    for found in (loud, webm, silent):
        assert 59 < found.duration_seconds < 61
        assert all(np.isfinite(curve.anomaly).all() for curve in found.curves)
    # The same pictures: the student says the same, whether or not there is a sound track.
    np.testing.assert_array_equal(loud.curves[1].class_probabilities, silent.curves[0].class_probabilities)
