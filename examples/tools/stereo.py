"""How far a stereo camera turned between two frames: depth, matched features, pose.

Single-threaded on purpose: a call is to keep one core busy, and no more. This module must
not know where images come from or what is asked about them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Image = NDArray[np.uint8]
Array = NDArray[np.float64]

FEATURES = 6000
CONTRAST = 0.003
"""SIFT's threshold: far below its default, for features also on road and meadow."""
DISTINCT = 0.75
"""How much nearer the best match has to be than the second best."""
DISPARITIES = 128
NEAREST_DISPARITY = 2.0
"""In pixels; what is farther away than this has no depth worth the name."""
REPROJECTION = 2.0
ROUNDS = 5000
FEWEST = 30
"""Points that have to agree on a motion."""


class NoMotion(ValueError):
    """The two frames have too little in common to tell how the camera moved."""


@dataclass(frozen=True)
class Camera:
    """The camera matrix of both rectified cameras, and the distance between them in metres."""

    matrix: Array
    baseline: float

    @classmethod
    def of(cls, left: Sequence[float], right: Sequence[float]) -> Camera:
        """From the two projection matrices, 3x4 each, row by row."""
        shape = np.array(left).reshape(3, 4)
        return cls(shape[:, :3], (left[3] - right[3]) / left[0])


@dataclass(frozen=True)
class Frame:
    """A rectified grey image pair."""

    left: Image
    right: Image

    @classmethod
    def read(cls, left: Path, right: Path) -> Frame:
        """Raises ``ValueError`` for a file that is no image, or two of different size."""
        images = []
        for path in (left, right):
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if image is None:
                raise ValueError(f"{path.name}: can't be read as an image")
            images.append(np.asarray(image, dtype=np.uint8))
        if images[0].shape != images[1].shape:
            raise ValueError(f"{left.name}: the left and the right image differ in size")
        return cls(*images)


def turn_between(before: Frame, after: Frame, camera: Camera) -> float:
    """Degrees of heading from one frame to the next; to the right is positive.

    The motion is found twice, from the points of the first frame seen in the second and
    the other way round: what depth gets wrong then cancels out in part.
    """
    cv2.setNumThreads(1)
    first, second = _matches(before.left, after.left)
    forth = _rotation(_points(before, first, camera), second, camera)
    back = _rotation(_points(after, second, camera), first, camera)
    return (heading(forth.T) + heading(back)) / 2


def heading(rotation: Array) -> float:
    """The turn about the camera's vertical axis, in degrees."""
    return math.degrees(math.atan2(rotation[0, 2], rotation[2, 2]))


def _matches(one: Image, other: Image) -> tuple[Array, Array]:
    """Where the same things are in two images, as two arrays of x and y; mutual best matches only."""
    detector = cv2.SIFT.create(nfeatures=FEATURES, contrastThreshold=CONTRAST)
    (ones, one_described), (others, other_described) = (
        detector.detectAndCompute(image, None) for image in (one, other)
    )
    if min(len(ones), len(others)) < FEWEST:
        raise NoMotion(f"{min(len(ones), len(others))} features in one of the images")
    there = _best(one_described, other_described)
    back = _best(other_described, one_described)
    pairs = [(a, b) for a, b in there.items() if back.get(b) == a]
    first = np.array([ones[a].pt for a, _ in pairs], dtype=np.float64).reshape(-1, 2)
    second = np.array([others[b].pt for _, b in pairs], dtype=np.float64).reshape(-1, 2)
    return first, second


def _best(described: cv2.typing.MatLike, among: cv2.typing.MatLike) -> dict[int, int]:
    found = cv2.BFMatcher(cv2.NORM_L2).knnMatch(described, among, k=2)
    return {
        best.queryIdx: best.trainIdx for best, second in found if best.distance < DISTINCT * second.distance
    }


def _points(frame: Frame, pixels: Array, camera: Camera) -> Array:
    """The points in space behind pixels, in metres; NaN where the depth is unknown."""
    columns, rows = np.rint(pixels).astype(int).T
    height, width = frame.left.shape
    disparity = _disparity(frame)[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    known = np.where(disparity > NEAREST_DISPARITY, disparity, np.nan)
    matrix = camera.matrix
    depth = matrix[0, 0] * camera.baseline / known
    across = (pixels[:, 0] - matrix[0, 2]) / matrix[0, 0]
    down = (pixels[:, 1] - matrix[1, 2]) / matrix[1, 1]
    return np.stack([across * depth, down * depth, depth], axis=1)


def _disparity(frame: Frame) -> Array:
    """Semi-global matching at full size, over all eight directions."""
    block = 5
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=DISPARITIES,
        blockSize=block,
        P1=8 * block**2,
        P2=32 * block**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.StereoSGBM_MODE_HH,
    )
    return matcher.compute(frame.left, frame.right) / np.float64(16)


def _rotation(points: Array, pixels: Array, camera: Camera) -> Array:
    """The rotation that takes points of one frame to where the other sees them."""
    known = np.isfinite(points[:, 2])
    points, pixels = points[known], pixels[known]
    if len(points) < FEWEST:
        raise NoMotion(f"only {len(points)} matched features have a depth")
    cv2.setRNGSeed(1)
    found, turn, shift, agreeing = cv2.solvePnPRansac(
        points,
        pixels,
        camera.matrix,
        None,
        iterationsCount=ROUNDS,
        reprojectionError=REPROJECTION,
        confidence=0.99999,
        flags=cv2.SOLVEPNP_EPNP,
    )
    if not found or agreeing is None or len(agreeing) < FEWEST:
        raise NoMotion("too few matched features agree on one motion")
    kept = agreeing.ravel()
    turn, _ = cv2.solvePnPRefineLM(points[kept], pixels[kept], camera.matrix, None, turn, shift)
    rotation, _ = cv2.Rodrigues(turn)
    return np.asarray(rotation, dtype=np.float64)
