"""Frames -> canvases, in uint8 and without torch: decode workers make canvases, the encoder cuts views from them.

Only one canvas per frame is sent between processes; `ten_crop` cuts ten images from it.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avadclip.config.features import Views


def canvas(rgb: NDArray[np.uint8], views: Views, size: int) -> NDArray[np.uint8]:
    """Resize one frame to the canvas that all its views are cut from.

    Parameters
    ----------
    rgb : uint8 [height, width, 3].
    views : `center` is CLIP's own preprocessing: bicubic, antialiased resize of the short side, then a centre crop.
        `five_crop` and `ten_crop` are the authors' for XD-Violence: bilinear resize, not antialiased, to 340x256.
    size : side of the image tower's input in pixels; 340x256 belongs to 224 and scales with it.

    Returns
    -------
    uint8 [size, size, 3] for `center`, else [256, 340, 3] x size / 224.
    """
    if views == "center":
        return _resize_and_crop(rgb, size)
    return _resize_bilinear(rgb, height=round(256 * size / 224), width=round(340 * size / 224))


def _resize_and_crop(rgb: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    short = min(height, width)
    # int here and round below, as in torchvision's Resize and CenterCrop: a shift by a pixel would change the feature.
    resized_size = int(size * width / short), int(size * height / short)
    resized = Image.fromarray(rgb).resize(resized_size, Image.Resampling.BICUBIC)
    left, top = round((resized.width - size) / 2), round((resized.height - size) / 2)
    return np.array(resized.crop((left, top, left + size, top + size)))


def _resize_bilinear(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """OpenCV's default resize: aligned pixel centres, two neighbours in each direction, whatever the scale."""
    rows = _interpolate(rgb, height, axis=0)
    return np.rint(_interpolate(rows, width, axis=1)).astype(np.uint8)


def _interpolate(image: NDArray[np.generic], n_target: int, axis: int) -> NDArray[np.float32]:
    n_source = image.shape[axis]
    position = np.clip((np.arange(n_target) + 0.5) * (n_source / n_target) - 0.5, 0, n_source - 1)
    first = position.astype(np.intp)
    second = np.minimum(first + 1, n_source - 1)
    weight = np.expand_dims((position - first).astype(np.float32), [other for other in range(3) if other != axis])
    near, far = (image.take(index, axis).astype(np.float32) for index in (first, second))
    blend: NDArray[np.float32] = near + weight * (far - near)
    return blend
