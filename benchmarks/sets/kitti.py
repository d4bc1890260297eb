"""KITTI*: by how much the turns of two groups of stereo images differ, each turn computed.

The paper's set asks for the difference of the average steering angles of two systems, from
four images of each. Its stereo detection of steering angles has no ground truth; here the
angle is the turn of the car from an image to the next one, which the poses of the data give
too. The graph is the paper's: eight compute calls, two averages, one difference. A small
model can't average, so ``average`` and ``difference`` are offered next to ``self``.
"""

from __future__ import annotations

import math
import random
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.questions import DataMissing, Question, QuestionSet, wordings
from examples.tools.driving import cameras_of, frame_of, turn_in, turns_of
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Groups = tuple[list[str], list[str]]
    Draw = Callable[[Sequence[str], int, random.Random], Groups | None]

COUNT = 50
PUBLISHED = "the KITTI odometry set is published at https://www.cvlibs.net/datasets/kitti/eval_odometry.php"
TOLERANCE = 0.04
"""Degrees. Over 16 frames the computed turns were wrong by 0.012 (root mean square) and 0.019 at most;
over 50 questions the differences were wrong by 0.007 (median) and 0.025 at most."""
SHARE = 0.1  # what may be wrong of a large difference
DRAWS = 60
"""How many groups are tried for one whose answer is far enough from none."""


def questions(data: Path) -> list[Question]:
    """Questions about groups drawn by a fixed seed: the same for the same files."""
    turns = _readable(turns_of, data / "kitti")
    images = sorted(turns, key=frame_of)
    if len(images) < 6:
        few = f"{data / 'kitti'}: {len(images)} images have a pose and a neighbour"
        raise DataMissing(f"{few}, and a question needs 6; {PUBLISHED}")
    chance = random.Random("two systems")
    found: list[Question] = []
    asked: set[str] = set()

    def difference_of(groups: Groups) -> float:
        a, b = (math.fsum(turns[image] for image in group) / len(group) for group in groups)
        return a - b

    for number in range(COUNT):
        draw, size, texts = PATTERNS[number % len(PATTERNS)]
        text = texts[number // len(PATTERNS) % len(texts)]
        drawn = [groups for _ in range(DRAWS) if (groups := draw(images, size, chance))]
        fresh = [groups for groups in drawn if worded(text, size, groups) not in asked]
        if fresh:
            # Among alike images many differences are next to nothing, which is easily guessed.
            clear = (groups for groups in fresh if abs(difference_of(groups)) >= 2 * TOLERANCE)
            groups = next(clear, None) or max(fresh, key=lambda groups: abs(difference_of(groups)))
            asked.add(query := worded(text, size, groups))
            details = {"a": groups[0], "b": groups[1]}
            found.append(Question(f"kitti-{len(found) + 1}", query, difference_of(groups), details))
    return found


def functions(data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
    """``turn_angle`` computes for a few seconds on one core; nothing is written."""
    folder = (data / "kitti").resolve()
    _readable(cameras_of, folder)  # says now if they can't be read
    if find_spec("cv2") is None:
        raise DataMissing("kitti: OpenCV is not installed; pip install opencv-python-headless")

    @function(kind="compute", pure=True)
    def turn_angle(image: str) -> float:
        """Compute from stereo images by how many degrees the car turns from an image to the next one.

        Args:
            image: The name of the image, such as "000123.png".
        """
        return turn_in(folder, image)

    return [turn_angle, average, difference]


def _readable(read: Callable[[Path], Any], folder: Path) -> Any:
    """What is read of a drive. Raises ``DataMissing``."""
    try:
        return read(folder)
    except (OSError, ValueError) as error:
        told = (
            f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.strerror else error
        )
        raise DataMissing(f"{told}; {PUBLISHED}") from None


def right(question: Question, answer: Any, work: Path) -> bool:
    """Whether the difference, with its sign, is that of the poses within ``TOLERANCE`` or ``SHARE``."""
    value = number_in(answer)
    return value is not None and math.isclose(value, question.answer, rel_tol=SHARE, abs_tol=TOLERANCE)


SET = QuestionSet("kitti", 4, questions, functions, right)


@function(kind="inout", pure=True)
def average(values: list[float]) -> float:
    """Average numbers.

    Args:
        values: The numbers, such as [s1, s2].
    """
    if not values:
        raise ValueError("there is nothing to average")
    return round(math.fsum(values) / len(values), 4)


@function(kind="inout", pure=True)
def difference(a: float, b: float) -> float:
    """Subtract b from a.

    Args:
        a: The number to subtract from.
        b: The number that is subtracted.
    """
    return round(a - b, 4)


def number_in(answer: Any) -> float | None:
    """A number, or the last one in a text, file names aside."""
    if isinstance(answer, str):
        numbers = re.findall(r"(?<![\w.])[-\u2212]?\d+(?:\.\d+)?(?![\w.]*png)", answer)
        return float(numbers[-1].replace("\u2212", "-")) if numbers else None
    return float(answer) if isinstance(answer, int | float) and not isinstance(answer, bool) else None


def _any(images: Sequence[str], size: int, chance: random.Random) -> Groups | None:
    if len(images) < 2 * size:
        return None
    drawn = chance.sample(images, 2 * size)
    return sorted(drawn[:size], key=frame_of), sorted(drawn[size:], key=frame_of)


def _run(images: Sequence[str], length: int, chance: random.Random) -> list[str]:
    """A run of consecutive images of a length; ``[]`` if there is none."""
    runs = (list(images[first : first + length]) for first in range(len(images) - length + 1))
    consecutive = [run for run in runs if frame_of(run[-1]) - frame_of(run[0]) == length - 1]
    return chance.choice(consecutive) if consecutive else []


def _alternating(images: Sequence[str], size: int, chance: random.Random) -> Groups | None:
    run = _run(images, 2 * size, chance)
    odd = [image for image in run if frame_of(image) % 2]
    return (odd, [image for image in run if image not in odd]) if run else None


def _halves(images: Sequence[str], size: int, chance: random.Random) -> Groups | None:
    run = _run(images, 2 * size, chance)
    return (run[:size], run[size:]) if run else None


def _apart(images: Sequence[str], size: int, chance: random.Random) -> Groups | None:
    """Two runs that share no image."""
    a, b = _run(images, size, chance), _run(images, size, chance)
    return (a, b) if a and not set(a) & set(b) else None


_WORDS = wordings("kitti")
PATTERNS: Sequence[tuple[Draw, int, Sequence[str]]] = (
    (_alternating, 4, _WORDS["alternating"]),
    (_any, 4, _WORDS["listed"]),
    (_halves, 4, _WORDS["halves"]),
    (_any, 3, _WORDS["listed"]),
    (_apart, 4, _WORDS["apart"]),
    (_alternating, 3, _WORDS["alternating"]),
    (_any, 4, _WORDS["listed"]),
)
"""How two groups are drawn, of how many images each, and the ways to ask about them."""


def worded(text: str, size: int, groups: Groups) -> str:
    """``{a}`` and ``{b}`` list the groups; ``{from_a}``, ``{from_b}`` and ``{from_all}`` name their ends."""
    a, b = groups
    ends = {"from_a": a, "from_b": b, "from_all": sorted(a + b, key=frame_of)}
    shown = {"a": f"{', '.join(a[:-1])} and {a[-1]}", "b": f"{', '.join(b[:-1])} and {b[-1]}"}
    shown |= {name: f"{names[0]} to {names[-1]}" for name, names in ends.items()}
    return text.format(size={3: "three", 4: "four"}[size], **shown)
