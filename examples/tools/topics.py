"""What texts are like, as pictures: how they lie to each other (t-SNE), and their topics (LDA).

Single-threaded on purpose: a call is to keep one core busy, and no more. Fixed seeds: the
same texts give the same pictures. This module must not know where texts come from.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import LatentDirichletAllocation, TruncatedSVD  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer  # type: ignore[import-untyped]
from sklearn.manifold import TSNE  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FEWEST = 20
"""Texts; both methods are meaningless below."""
MANY = 200
"""Texts from which on a word has to be in two of them to count."""
WORD = r"(?u)\b[^\W\d_]{3,}\b"
DIMENSIONS = 50
MOVES = 700
"""Of t-SNE; with ``PASSES`` of LDA it takes about as long, for 1,000 short texts."""
PASSES = 45
TOPICS = 8
WORDS = 8
SMALLEST = 300
"""Pixels; a picture that was drawn is wider and higher."""


class TooFew(ValueError):
    """There are not enough texts for an analysis."""


def scatter(texts: Sequence[str], classes: Sequence[str], picture: Path, note: str) -> None:
    """Draw texts as points, near each other where their words are alike, coloured by class."""
    _check(texts)
    with threadpool_limits(limits=1):
        words = TfidfVectorizer(
            stop_words="english", token_pattern=WORD, sublinear_tf=True, min_df=_rarest(texts)
        ).fit_transform(plain(text) for text in texts)
        size = min(DIMENSIONS, *(number - 1 for number in words.shape))
        reduced = TruncatedSVD(size, random_state=0).fit_transform(words)
        places = TSNE(
            perplexity=min(30, (len(texts) - 1) / 3), max_iter=MOVES, init="pca", random_state=0, n_jobs=1
        ).fit_transform(reduced)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    for name in sorted(set(classes)):
        mine = np.array([item == name for item in classes])
        axes.scatter(places[mine, 0], places[mine, 1], s=8, label=f"class {name}")
    axes.set(title=f"t-SNE of {len(texts)} texts", xticks=[], yticks=[])
    axes.legend()
    _save(figure, picture, {"Title": "t-SNE", "Description": note})


def topics(texts: Sequence[str], picture: Path, note: str) -> list[list[str]]:
    """Find the topics of texts, draw their words, and return the words, the weightiest first."""
    _check(texts)
    with threadpool_limits(limits=1):
        counter = CountVectorizer(stop_words="english", token_pattern=WORD, min_df=_rarest(texts), max_df=0.3)
        counts = counter.fit_transform(plain(text) for text in texts)
        model = LatentDirichletAllocation(TOPICS, max_iter=PASSES, random_state=0, n_jobs=1).fit(counts)
    names = counter.get_feature_names_out()
    shares: NDArray[np.float64] = model.components_ / model.components_.sum(axis=1, keepdims=True)
    order = [np.argsort(-topic, kind="stable")[:WORDS] for topic in shares]
    found = [[str(names[at]) for at in best] for best in order]
    figure = Figure(figsize=(12, 6), layout="constrained")
    grid = figure.subplots(2, (TOPICS + 1) // 2, squeeze=False).ravel()
    for number, (axes, words, best) in enumerate(zip(grid, found, order, strict=False)):
        axes.barh(words[::-1], shares[number][best[::-1]])
        axes.set(title=f"topic {number + 1}", xticks=[])
    comment = " ".join(word for words in found for word in words)
    _save(figure, picture, {"Title": "LDA", "Description": note, "Comment": comment})
    return found


def note_of(path: Path) -> dict[str, str]:
    """What was noted in a picture; empty for what is no picture of these, or not a whole one."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()
            note = {str(key): str(value) for key, value in picture.info.items()}
            drawn = min(picture.size) >= SMALLEST
    except (OSError, SyntaxError, ValueError):
        return {}
    return note if drawn and {"Title", "Description"} <= set(note) else {}


def plain(text: str) -> str:
    """A text without the remains of markup: entities that lost their ``&``, tags, backslashes for newlines."""
    text = re.sub(r"&?(#\d+|amp|gt|lt|nbsp|quot);", r"&\1;", text.replace("\\", " "))
    return re.sub(r"<[^>]*>", " ", html.unescape(text))


def _check(texts: Sequence[str]) -> None:
    if len(texts) < FEWEST:
        raise TooFew(f"{len(texts)} texts are too few; give at least {FEWEST}")


def _rarest(texts: Sequence[str]) -> int:
    return 2 if len(texts) >= MANY else 1


def _save(figure: Figure, picture: Path, note: dict[str, Any]) -> None:
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, format="png", dpi=100, metadata=note)
