import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from avadclip.encoders.images import crops
from avadclip.encoders.preprocess import canvas

SIZES = [(360, 640), (361, 641), (640, 360), (225, 223), (224, 224), (16, 16), (1, 5)]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [224, 64])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_center_is_open_clips_own_preprocessing_to_the_last_bit(height, width, size):
    frame = noise(height, width)
    resize, crop, *_ = open_clip.image_transform(size, is_train=False).transforms
    np.testing.assert_array_equal(canvas(frame, "center", size), np.asarray(crop(resize(Image.fromarray(frame)))))


def bilinear_pixel(frame: np.ndarray, row: int, column: int, height: int, width: int) -> np.ndarray:
    """One pixel of a bilinear resize, from the definition: a source position between four source pixels."""
    y = min(max((row + 0.5) * frame.shape[0] / height - 0.5, 0), frame.shape[0] - 1)
    x = min(max((column + 0.5) * frame.shape[1] / width - 0.5, 0), frame.shape[1] - 1)
    total = np.zeros(3)
    for source_row in range(frame.shape[0]):
        for source_column in range(frame.shape[1]):
            weight = max(0, 1 - abs(y - source_row)) * max(0, 1 - abs(x - source_column))
            if weight:
                total += weight * frame[source_row, source_column]
    return total


@pytest.mark.parametrize(("height", "width"), [(16, 16), (1, 5), (37, 21)])
def test_crop_canvas_is_bilinear_without_antialiasing(height, width):
    frame = noise(height, width)
    resized = canvas(frame, "ten_crop", 224)
    assert resized.shape == (256, 340, 3)
    rng = np.random.default_rng(0)
    places = [(0, 0), (255, 339), *zip(rng.integers(0, 256, 20), rng.integers(0, 340, 20), strict=True)]
    for row, column in places:
        expected = bilinear_pixel(frame, row, column, 256, 340)
        # half a grey level is what rounding to uint8 costs, the rest is float32 against float64
        np.testing.assert_allclose(resized[row, column], expected, rtol=0, atol=0.501)


def test_ten_crop_has_the_authors_places_and_order():
    canvases = np.stack([noise(256, 340), noise(256, 340)[::-1]])
    centre, top_left, top_right = (
        (slice(16, 240), slice(58, 282)),
        (slice(224), slice(224)),
        (slice(224), slice(116, 340)),
    )
    bottom_left, bottom_right = (slice(32, 256), slice(224)), (slice(32, 256), slice(116, 340))
    views = crops(torch.from_numpy(canvases), "ten_crop", 224)
    assert views.shape == (10, 2, 224, 224, 3)
    for index, (rows, columns) in enumerate([centre, top_left, top_right, bottom_left, bottom_right]):
        np.testing.assert_array_equal(views[index], canvases[:, rows, columns])
        np.testing.assert_array_equal(views[index + 5], canvases[:, rows, columns][:, :, ::-1])
    np.testing.assert_array_equal(crops(torch.from_numpy(canvases), "five_crop", 224), views[:5])


def test_crops_scale_with_the_image_size():
    resized = canvas(noise(100, 200), "five_crop", 64)
    assert resized.shape == (73, 97, 3)  # 256 x 340 times 64 / 224
    assert crops(torch.from_numpy(resized[None]), "five_crop", 64).shape == (5, 1, 64, 64, 3)


def test_center_view_is_the_canvas():
    canvases = noise(64, 64)[None]
    np.testing.assert_array_equal(crops(torch.from_numpy(canvases), "center", 64), canvases[None])
