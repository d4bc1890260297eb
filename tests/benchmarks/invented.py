"""Invented data for the sets that compute: a rendered drive, and news in which nothing is true."""

from __future__ import annotations

import csv
import itertools
import math
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

TURNS = (1.5, 1.5, -2.0, 0.5, 3.0, 0.0, -1.0, 2.5, 0.25, 1.0, -0.5)
"""Degrees, from each frame to the next."""
FOCAL, BASELINE, WIDTH, HEIGHT = 300.0, 0.5, 360, 140
SUBJECTS = {
    "1": ["treaty", "minister", "border", "election", "embassy", "parliament"],
    "2": ["goal", "coach", "stadium", "season", "referee", "tournament"],
    "3": ["shares", "profit", "bank", "merger", "dividend", "retailer"],
    "4": ["software", "galaxy", "browser", "chip", "satellite", "laboratory"],
}


def write_frames(folder: Path) -> list[tuple[Any, Any]]:
    """Poses and calibration of frames that turn by ``TURNS``, and a name for each image; no images."""
    headings = [0.0, *itertools.accumulate(math.radians(turn) for turn in TURNS)]
    places = [(0.05 * number, 0.0, 0.2 * number) for number in range(len(headings))]
    for side in ("image_l", "image_r"):
        (folder / side).mkdir(parents=True)
        for number in range(len(headings)):
            (folder / side / f"{number:06d}.png").touch()
    poses = []
    for heading, (x, y, z) in zip(headings, places, strict=True):
        sine, cosine = math.sin(heading), math.cos(heading)
        poses.append(f"{cosine} 0 {sine} {x} 0 1 0 {y} {-sine} 0 {cosine} {z}")
    (folder / "poses.txt").write_text("\n".join(poses))
    matrix = f"{FOCAL} 0 {WIDTH / 2} %s 0 {FOCAL} {HEIGHT / 2} 0 0 0 1 0\n"
    (folder / "calib.txt").write_text("P0: " + matrix % 0 + "P1: " + matrix % (-FOCAL * BASELINE))
    return list(zip(headings, places, strict=True))


def write_drive(folder: Path, seen: Collection[int] | None = None) -> None:
    """A drive past two textured walls, one behind the other; images only of the frames in ``seen``."""
    import cv2
    import numpy as np

    chance = np.random.default_rng(1)
    texture = sum(
        cv2.resize(chance.random((size, size), dtype=np.float32), (1024, 1024), interpolation=cv2.INTER_CUBIC)
        for size in (64, 256, 1024)
    )
    poses = write_frames(folder)
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack([(columns - WIDTH / 2) / FOCAL, (rows - HEIGHT / 2) / FOCAL, np.ones_like(rows, float)])
    for number in range(len(poses)) if seen is None else seen:
        heading, place = poses[number]
        sine, cosine = math.sin(heading), math.cos(heading)
        turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
        for side, aside in (("image_l", 0.0), ("image_r", BASELINE)):
            start = np.array(place) + turn @ (aside, 0, 0)
            toward = np.tensordot(turn, rays, 1)
            near, far = (
                start[:, None, None] + toward * ((depth - start[2]) / toward[2]) for depth in (7.0, 11.0)
            )
            hit = np.where(near[0] < place[0], near, far)
            place_in = [((hit[axis] + 30) * 60 % 1000).astype(np.float32) for axis in (0, 1)]
            image = cv2.remap(texture, *place_in, cv2.INTER_LINEAR)
            cv2.imwrite(
                str(folder / side / f"{number:06d}.png"),
                (image * 80).clip(0, 255).astype("uint8"),
            )


def write_news(folder: Path, rows: int = 60) -> None:
    """News of four classes."""
    chance = random.Random(4)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "some.csv").open("w", encoding="utf-8", newline="") as file:
        written = csv.writer(file, quoting=csv.QUOTE_ALL)
        for number in range(rows):
            kind = str(number % 4 + 1)
            words = chance.choices(SUBJECTS[kind], k=12)
            written.writerow([kind, f"{words[0]} and {words[1]}", f"Number #39;{number}: {' '.join(words)}"])
