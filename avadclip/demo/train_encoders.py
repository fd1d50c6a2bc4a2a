"""Train the encoders of the demo world: ``python -m avadclip.demo.train_encoders``.

It writes `clip.safetensors`, `wav2clip.safetensors` and a card with measurements to ``avadclip/demo/weights``, and
prints the sha256 for params.yaml. Its clips have other seeds than the data set `demo`.
"""

import json
import logging
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from avadclip.config.architectures import read_architecture
from avadclip.config.worlds import World
from avadclip.demo.captions import CLASSES, wordings
from avadclip.demo.moments import Moments, balanced, every, take_moments
from avadclip.demo.render import render_world
from avadclip.device import resolve_device
from avadclip.encoders.images import normalise
from avadclip.encoders.wav2clip import Wav2Clip
from avadclip.pretraining.audio import train_wav2clip
from avadclip.pretraining.image_text import ZeroShot, text_features, train_clip, zero_shot
from avadclip.pretraining.loop import Settings, rounded_to_half, save_half

WORLD = World(seed=77_001, n_train=800, n_test=100)
N_PER_KIND = 900  # moments for training, of each kind of picture
TEST_STRIDE = 16  # frames between moments for testing
IMAGE_TEXT = Settings(seed=0, epochs=10, batch_size=128, learning_rate=1e-3)
AUDIO = Settings(seed=0, epochs=10, batch_size=128, learning_rate=1e-3)
AUDIO_WIDTH = 16
FOLDER = Path(__file__).with_name("weights")
SCENES = Path(".cache/demo_encoders")
PROGRAM = "python -m avadclip.demo.train_encoders"

_log = logging.getLogger(__name__)


def main() -> None:
    """Render, train, measure, write."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    started = time.perf_counter()
    clips = render_world(WORLD, SCENES)
    for_training, for_testing = ([clip for clip in clips if clip.split == split] for split in ("train", "test"))
    train = take_moments(for_training, balanced(for_training, N_PER_KIND, WORLD.seed), SCENES / "videos")
    test = take_moments(for_testing, every(for_testing, TEST_STRIDE), SCENES / "videos")
    _log.info("%d moments for training, %d for testing", len(train.seen), len(test.seen))
    device = resolve_device("auto")
    architecture = read_architecture("demo", str(FOLDER / "clip.json"))
    clip = train_clip(architecture, train.canvases, train.captions, IMAGE_TEXT, device)
    rounded_to_half(clip)
    pictures = image_features(clip, train.canvases)
    audible = train.has_sound
    wav2clip = train_wav2clip(AUDIO_WIDTH, train.spectrograms[audible], pictures[audible], AUDIO, device)
    rounded_to_half(wav2clip)
    hashes = {
        "clip.safetensors": save_half(clip, FOLDER / "clip.safetensors"),
        "wav2clip.safetensors": save_half(wav2clip, FOLDER / "wav2clip.safetensors"),
    }
    seen, heard = measure(clip, wav2clip, test)
    card = describe(seen, heard, hashes, len(train.seen), time.perf_counter() - started)
    (FOLDER / "README.md").write_text(card, encoding="utf-8")
    _log.info("write these into params.yaml: %s", json.dumps(hashes, indent=1))


def measure(clip: open_clip.CLIP, wav2clip: Wav2Clip, moments: Moments) -> tuple[ZeroShot, ZeroShot]:
    """Zero-shot recall of visible classes by pictures, and of audible classes by sound."""
    texts = text_features(clip, [wordings(name) for name in CLASSES])
    audible = moments.has_sound
    sounds = audio_features(wav2clip, moments.spectrograms[audible])
    return (
        zero_shot(image_features(clip, moments.canvases), texts, moments.seen),
        zero_shot(sounds, texts, moments.heard[audible]),
    )


@torch.inference_mode()
def image_features(clip: open_clip.CLIP, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 [n, size, size, 3] -> float32 [n, 512]."""
    parts = torch.split(torch.from_numpy(canvases), 256)
    return torch.cat([clip.encode_image(normalise(p.permute(0, 3, 1, 2).float() / 255)) for p in parts]).numpy()


@torch.inference_mode()
def audio_features(wav2clip: Wav2Clip, spectrograms: NDArray[np.float16]) -> NDArray[np.float32]:
    """float16 [n, 257, frames] -> float32 [n, 512]."""
    parts = torch.split(torch.from_numpy(spectrograms), 256)
    return torch.cat([wav2clip(part.float().unsqueeze(1)) for part in parts]).numpy()


def describe(seen: ZeroShot, heard: ZeroShot, hashes: dict[str, str], n_moments: int, seconds: float) -> str:
    """The card: how the weights were made, and how good they are."""
    rows = [
        f"| {name} | {image:.3f} ({n_images}) | {sound:.3f} ({n_sounds}) |"
        for name, image, n_images, sound, n_sounds in zip(
            CLASSES, seen.recall, seen.n_samples, heard.recall, heard.n_samples, strict=True
        )
    ]
    return "\n".join(
        [
            "# Encoders of the demo world",
            "",
            f"Made by `{PROGRAM}`: {n_moments:,} moments of {WORLD.n_train} rendered clips (seed {WORLD.seed}), CLIP "
            f"{IMAGE_TEXT.epochs} epochs from captions (seed {IMAGE_TEXT.seed}), then Wav2CLIP of width {AUDIO_WIDTH} "
            f"{AUDIO.epochs} epochs from the image tower (seed {AUDIO.seed}), in {seconds / 60:.0f} minutes on "
            f"{torch.get_num_threads()} threads.",
            "",
            *(f"- `{name}`: sha256 `{digest}`" for name, digest in hashes.items()),
            "",
            f"Zero-shot recall on {WORLD.n_test} other clips, by the class names in the wordings of their captions; "
            "moments in brackets. A moment counts as what is *seen* (heard) in it, so a hidden event is `normal` for "
            "the picture.",
            "",
            "| class | picture | sound |",
            "| --- | ---: | ---: |",
            *rows,
            f"| mean of the classes | {seen.balanced:.3f} | {heard.balanced:.3f} |",
            "",
        ]
    )


if __name__ == "__main__":
    main()
