"""Lean imports, tested in separate processes because an imported module stays imported."""

import subprocess
import sys

import pytest

PREAMBLE = """
import sys
from avadclip.encoders.lean import lean_imports
with lean_imports():
    {block}
from torchvision.ops import roi_align
heavy = [name for name in ("timm", "torch._dynamo", "torch._dynamo.utils") if name in sys.modules]
"""
KEPT_AWAY = """
assert heavy == [], heavy
asked = sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu")
from torch._dynamo.utils import is_compile_supported
assert asked == is_compile_supported("cpu")
"""
TIMM = """
import json
from pathlib import Path
from safetensors.torch import save_file
from avadclip.config.features import Visual, Weights
from avadclip.io import sha256_of
config, path = Path(sys.argv[1], "timm.json"), Path(sys.argv[1], "timm.safetensors")
tiny = {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 1, "layers": 1}
picture = {"timm_model_name": "test_vit", "image_size": 160, "timm_pool": "", "timm_proj": "linear"}
config.write_text(json.dumps({"embed_dim": 16, "vision_cfg": picture, "text_cfg": tiny}))
lean.bring_timm()
model = clip.open_clip.CLIP(16, picture, tiny)
save_file(model.state_dict(), path)
sys.modules["open_clip.timm_model"].timm = None  # as before
weights = Weights(path=str(path), sha256=sha256_of(path))
visual = Visual(encoder="timm", encoder_config=str(config), weights=weights, stride=16, precision="float32")
assert type(clip.load_clip(visual).visual).__name__ == "TimmModel"
"""


@pytest.mark.parametrize(
    ("block", "then"),
    [
        ("from avadclip.encoders import clip, lean", KEPT_AWAY + TIMM),
        # Another version of torchvision, or something else, may ask the compiler for more.
        (
            "from torch._dynamo.utils import is_compile_supported, counters; import open_clip",
            "assert heavy == ['torch._dynamo', 'torch._dynamo.utils'] and counters == {}",
        ),
    ],
)
def test_compiler_and_timm_come_only_when_they_are_asked_for(block, then, tmp_path):
    code = PREAMBLE.format(block=block) + then
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
