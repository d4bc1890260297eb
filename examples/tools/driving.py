"""A drive: its images by frame, the turns that its poses give, and the turns that its images give.

Of a stereo camera's two folders of images, ``poses.txt`` and ``calib.txt``. What can't be read raises ``OSError`` or
``ValueError`` with one line.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Pose = tuple[float, ...]


def turn_in(folder: Path, image: str) -> float:
    """The turn from an image to the next one, in degrees, computed."""
    from examples.tools.stereo import Camera, Frame, turn_between

    sides, steps = ("image_l", "image_r"), step_of(image, images_of(folder))
    before, after = (Frame.read(*(folder / side / name for side in sides)) for name in steps)
    return round(turn_between(before, after, Camera.of(*cameras_of(folder))), 4)


def turns_of(folder: Path) -> dict[str, float]:
    """The turn that the poses give for each image, where there is a pose of both its frames."""
    images = images_of(folder)
    poses = matrices_in(folder / "poses.txt")
    turns = {}
    for image in images:
        try:
            before, after = map(frame_of, step_of(image, images))
        except LookupError:
            continue
        if max(before, after) < len(poses):
            turns[image] = turn_of(poses[before], poses[after])
    return turns


def turn_of(before: Pose, after: Pose) -> float:
    """Degrees of heading between two poses, 3x4 matrices row by row; to the right is positive."""
    # Two entries of the relative rotation: columns of one pose times the third column of the other.
    sine = sum(before[4 * row] * after[4 * row + 2] for row in range(3))
    cosine = sum(before[4 * row + 2] * after[4 * row + 2] for row in range(3))
    return math.degrees(math.atan2(sine, cosine))


def images_of(folder: Path) -> list[str]:
    """Names of the images that are there from both cameras."""
    names = []
    for side in ("image_l", "image_r"):
        if not (folder / side).is_dir():
            raise FileNotFoundError(f"{folder / side}: there is no such folder")
        names.append({path.name for path in (folder / side).glob("*.png") if path.stem.isdecimal()})
    return sorted(names[0] & names[1], key=frame_of)


def step_of(image: str, images: Sequence[str]) -> tuple[str, str]:
    """The image and the next one; the one before and the image, where there is no next one."""
    if image not in images:
        raise LookupError(f"{image}: there is no such image; there are {images[0]} to {images[-1]}")
    for step in (1, -1):
        other = f"{frame_of(image) + step:0{len(image) - 4}}.png"
        if other in images:
            return (image, other) if step == 1 else (other, image)
    raise LookupError(f"{image}: neither the image after it nor the one before it is there")


def cameras_of(folder: Path) -> tuple[Pose, Pose]:
    """The projection matrices of the left and the right camera."""
    path = folder / "calib.txt"
    cameras = matrices_in(path)
    if len(cameras) < 2:
        raise ValueError(f"{path}: {len(cameras)} matrices, not those of two cameras")
    return cameras[0], cameras[1]


def matrices_in(path: Path) -> list[Pose]:
    """The 3x4 matrices of a file, one a line; a label before it, such as ``P0:``, does no harm."""
    matrices = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                matrix = tuple(float(item) for item in line.rpartition(":")[2].split())
            except ValueError:
                matrix = ()
            if len(matrix) != 12:
                raise ValueError(f"{path}, line {number}: not the 12 numbers of a 3x4 matrix")
            matrices.append(matrix)
    return matrices


def frame_of(image: str) -> int:
    return int(Path(image).stem)
