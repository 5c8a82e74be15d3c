"""Picture files in: any usual photograph or drawing to upright RGB pixels.

The size is read before the pixels are, so that a small file which unfolds to gigabytes is refused
unopened. Refuses, each with an error of its own: what is missing, no picture, or too large.
"""

from __future__ import annotations

import stat
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from assistant import errors
from assistant.turn import Frame

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""The decoders that may be used: none that runs another program, as PostScript's does."""
DAMAGE = (
    OSError, ValueError, TypeError, RuntimeError, SyntaxError, LookupError, EOFError,
    ArithmeticError, struct.error,
)  # fmt: skip
"""What Pillow's decoders raise on damaged files."""


def decode(path: Path, most_pixels: int = 50_000_000) -> Frame:
    """The picture: uint8 [height, width, 3], turned upright as its camera noted (EXIF).

    Of an animation the first frame; transparent parts show white.
    Raises PictureMissing, NotPermitted, PictureUnreadable and PictureTooLarge.
    """
    with _opened(path) as file, warnings.catch_warnings():
        # Pillow warns of damaged EXIF, and above its own limit; `most_pixels` decides here.
        warnings.simplefilter("ignore")
        image = _header(file, path, most_pixels)
        width, height = image.size
        if width * height > most_pixels:
            raise errors.PictureTooLarge(
                f"{path} has {width} by {height} pixels, {_millions(width * height)};"
                f" I take at most {_millions(most_pixels)}.",
                "Make it smaller.",
            )
        try:
            return Frame(np.asarray(_upright_rgb(image), dtype=np.uint8))
        except DAMAGE as error:
            raise errors.PictureUnreadable(
                f"{path} is cut off or damaged.", "Copy or take it again."
            ) from error


def _opened(path: Path) -> BinaryIO:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise errors.PictureMissing(f"{path} is a folder, not a picture.")
        if not stat.S_ISREG(found.st_mode):
            raise errors.PictureUnreadable(f"{path} is a device or a pipe, not a picture file.")
        if not found.st_size:
            raise errors.PictureUnreadable(f"{path} is empty.")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.PictureMissing(f"There is no picture {path}.") from error
    except PermissionError as error:
        raise errors.NotPermitted(
            f"I may not read {path}.", "Give yourself read permission there."
        ) from error
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long or holds NUL
        raise errors.PictureMissing(f"I cannot open the picture {path}.") from error


def _header(file: BinaryIO, path: Path, most_pixels: int) -> Image.Image:
    """The picture with its size known and its pixels unread."""
    from PIL import Image

    try:
        return Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:  # above twice Pillow's own limit
        least = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise errors.PictureTooLarge(
            f"{path} has more than {_millions(least)} pixels; I take at most"
            f" {_millions(most_pixels)}.",
            "Make it smaller.",
        ) from error
    except DAMAGE as error:
        raise errors.PictureUnreadable(
            f"{path} is no picture that I can read.", "Give a JPEG, PNG, WebP, GIF or TIFF file."
        ) from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _from_deep_grey(upright)
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    layer = upright.convert("RGBA")
    paper = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(paper, layer).convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits spread over 8: Pillow's own conversion would clip it to white."""
    from PIL import Image

    grey = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = float(grey.min()), float(grey.max())
    spread = (grey - low) * (255 / (high - low)) if high > low else np.full_like(grey, 128)
    return Image.fromarray(spread.astype(np.uint8)).convert("RGB")


def _millions(pixels: int) -> str:
    return f"{pixels / 1_000_000:.1f}".removesuffix(".0") + " million"
