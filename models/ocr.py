"""Text in pictures: takes a frame, gives its lines of text in reading order.

rapidocr with the PP-OCRv6 models (Apache-2.0) that lie in its package. Their paths are given to it
outright: left to find them itself it would, at a missing or altered file, fetch another.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant.errors import EngineFailed, ModelDamaged, ModelMissing
from assistant.ports import Line
from assistant.turn import Frame
from models import installed

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_SIDE = 1600
"""Pixels. A larger picture is made smaller first: time grows with the area."""
DETECTED_SIDE = 960
"""Pixels. Lines are looked for in a picture of this size, then read in the larger one. Measured on
drawn pages of 1280 x 720: a third of the time, and letters of 11 pixels and up are still found."""
ENLARGED_SIDE = 480
"""Pixels. A picture no longer than this is doubled: else lines close to each other are merged."""
SMALLEST_SIDE = 8
"""Pixels. Nothing smaller holds text."""

_MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}


class Rapid:
    """Loads its three models at once: half a second, and some 400 MB while it reads.

    Raises EngineMissing without rapidocr, ModelMissing and ModelDamaged for its files.
    """

    name = "rapidocr"

    def __init__(self, threads: int = 2) -> None:
        files = _files()
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise installed.unusable("rapidocr") from error
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        settings: dict[str, Any] = {f"{part}.model_path": str(files[part]) for part in files}
        settings |= {
            "Global.log_level": "critical",
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTED_SIDE,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        try:
            self._rapid: Any = RapidOCR(params=settings)
            for part in ("det", "cls", "rec"):
                # It would load them at the first picture: too late to hear of a damaged file.
                getattr(self._rapid, f"_load_{part}_model")()
        except Exception as error:
            raise ModelDamaged("A model of rapidocr cannot be loaded.", installed.MEND) from error

    def read(self, frame: Frame) -> tuple[Line, ...]:
        """Lines with confidence 0 to 1 and boxes in the frame's own pixels; () without text."""
        height, width = frame.pixels.shape[:2]
        if min(height, width) < SMALLEST_SIDE:
            return ()
        scale = _scale(max(height, width))
        try:
            found = self._rapid(_blue_green_red(frame.pixels, scale))
        except Exception as error:
            reason = type(error).__name__
            raise EngineFailed(f"The text in the picture cannot be read: {reason}.") from error
        if getattr(found, "txts", None) is None or getattr(found, "boxes", None) is None:
            return ()
        lines = [
            Line(text.strip(), float(np.clip(score, 0, 1)), _box(corners / scale, width, height))
            for text, score, corners in zip(found.txts, found.scores, found.boxes, strict=True)
            if text.strip()
        ]
        return tuple(in_reading_order(lines))


def in_reading_order(lines: list[Line]) -> list[Line]:
    """Top to bottom, and from left to right within a row.

    A line belongs to a row if its middle lies within the height of the row's first line.
    """
    rows: list[list[Line]] = []
    for line in sorted(lines, key=_middle):
        if rows and rows[-1][0].box[1] <= _middle(line) <= rows[-1][0].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box[0])]


def _middle(line: Line) -> float:
    return (line.box[1] + line.box[3]) / 2


def _scale(longest: int) -> float:
    if longest > LONGEST_SIDE:
        return LONGEST_SIDE / longest
    return 2.0 if longest <= ENLARGED_SIDE else 1.0


def _blue_green_red(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The picture scaled, with its colours in OpenCV's order."""
    import cv2

    turned = np.ascontiguousarray(pixels[:, :, ::-1])
    if scale == 1.0:
        return turned
    size = tuple(max(SMALLEST_SIDE, round(side * scale)) for side in (pixels.shape[1::-1]))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(turned, size, interpolation=way), np.uint8)


def _box(
    corners: NDArray[np.float32], width: int, height: int
) -> tuple[float, float, float, float]:
    """The upright box around four corners [4, 2], cut to the picture."""
    xs, ys = np.clip(corners[:, 0], 0, width), np.clip(corners[:, 1], 0, height)
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


def _files() -> dict[str, Path]:
    """The three models in the package. Raises EngineMissing and ModelMissing."""
    folder = installed.folder("rapidocr") / "models"
    files = {part: folder / name for part, name in _MODELS.items()}
    for file in files.values():
        if not file.is_file():
            raise ModelMissing(f"The reading model {file} is missing.", installed.MEND)
    return files
