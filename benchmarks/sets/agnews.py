"""AGNews*: read 1,000 news, draw them by t-SNE and LDA, and write a report.

As in the paper, a query is five calls: ``read``, then the compute calls ``tsne`` and ``lda``
at once, meanwhile ``chatbot`` for a sample procedure, and ``write`` when all is there. The
paper calls the chatbot ``self``.
"""

from __future__ import annotations

import csv
import re
import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.questions import DataMissing, Question, QuestionSet, rows_of, wordings
from llmorch import function

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    News = list[dict[str, str]]

ROWS = 1000
LEAST = 50
"""Rows that a file needs for a question; one with less than ``ROWS`` is asked about as a whole."""
COLUMNS = ("class", "title", "text")
PUBLISHED = "AG News is published at https://huggingface.co/datasets/fancyzhx/ag_news, 3 columns a row"
SHARE = 0.8
"""Of the topics' words, what a report needs: a model that writes it itself leaves some out."""
RESULT = frozenset(("tsne", "sne", "lda", "png", "texts", "of", "classes", "topic", "topics"))
"""The other words of what ``tsne`` and ``lda`` return."""
PROCEDURE = 20  # words that a report needs beside the topics: the sample procedure
WORDINGS = wordings("agnews")


def questions(data: Path) -> list[Question]:
    """Every block of 1,000 rows of the files ``agnews/*.csv`` in the first wording, then in the next one."""
    blocks = []
    for path in _files(data / "agnews"):
        news = news_in(path)
        starts = range(0, len(news) - ROWS + 1, ROWS)
        if len(news) >= LEAST:
            blocks += [(path.name, start, news[start : start + ROWS]) for start in starts or [0]]
    if not blocks:
        raise DataMissing(f"{data / 'agnews'}: no file has {LEAST} rows; {PUBLISHED}")
    return [
        Question(
            f"agnews-{number * len(blocks) + at + 1}",
            one["text"].format(rows=len(news), file=file, start=start, report=one["report"]),
            fingerprint(news),
            {"report": one["report"]},
        )
        for number, one in enumerate(WORDINGS)
        for at, (file, start, news) in enumerate(blocks)
    ]


def functions(data: Path, work: Path, delay: float = 0.0) -> list[Callable[..., Any]]:
    """``tsne`` and ``lda`` compute for a few seconds on one core; all files go below ``work``."""
    folder = (data / "agnews").resolve()
    made = work.resolve()
    if missing := [name for name in ("matplotlib", "sklearn") if find_spec(name) is None]:
        raise DataMissing(f"agnews: not installed: {', '.join(missing)}; pip install matplotlib scikit-learn")

    @function(kind="inout", pure=True)
    def read(file: str, start: int = 0, rows: int = ROWS) -> str:
        """Read rows of a file of news. Returns the name of a file that holds them.

        Args:
            file: The name of the file, such as "news.csv".
            start: The first row to read; a file begins with row 0.
            rows: How many rows to read.
        """
        there = {path.name: path for path in _files(folder)}
        if file not in there:
            raise FileNotFoundError(f"{file}: there is no such file; there are {', '.join(there)}")
        if start < 0 or rows < 1:
            raise ValueError("start is at least 0, and rows at least 1")
        # By its name: a technique that hands results on as text could not hand on the rows.
        name = f"{there[file].stem}-{start}-{rows}.csv"
        with (made / name).open("w", encoding="utf-8", newline="") as lines:
            csv.DictWriter(lines, COLUMNS).writerows(news_in(there[file])[start : start + rows])
        return name

    @function(kind="compute", pure=True)
    def tsne(rows: str) -> str:
        """Draw the distribution of news by t-SNE. Returns the picture's name.

        Args:
            rows: The name of a file of news, as read returns it.
        """
        return draw_scatter(made, news_in(_read_file(made, rows)))

    @function(kind="compute", pure=True)
    def lda(rows: str) -> str:
        """Find the topics of news by LDA and draw them. Returns the picture's name and each topic's words.

        Args:
            rows: The name of a file of news, as read returns it.
        """
        return draw_topics(made, news_in(_read_file(made, rows)))

    @function(kind="inout", pure=True)
    def write(path: str, text: str) -> str:
        """Write a text to a file.

        Args:
            path: The file to write, such as "report.txt".
            text: What to write.
        """
        target = _below(made, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return f"{path}: {len(text)} characters written"

    return [read, tsne, lda, chatbot, write]


def right(question: Question, answer: Any, work: Path) -> bool:
    """Whether both pictures are of the right texts, and the report has the topics and a procedure."""
    from examples.tools.topics import note_of

    try:
        report = (work / question.details["report"]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    notes = {note["Title"]: note for path in work.rglob("*.png") if (note := note_of(path))}
    drawn = {title: note["Description"] for title, note in notes.items()}
    if drawn != dict.fromkeys(("t-SNE", "LDA"), question.answer):
        return False
    words = set(notes["LDA"]["Comment"].split())
    written = re.findall(r"[^\W\d_]+", report.lower())
    kept = len(words & set(written)) / len(words)
    return kept >= SHARE and sum(word not in words | RESULT for word in written) >= PROCEDURE


SET = QuestionSet("agnews", 2, questions, functions, right)


@function(asks_model=True, pure=True)
def chatbot(prompt: str) -> str:
    """Ask the chatbot to explain or to write something.

    Args:
        prompt: What it is asked, with the number of words that it may use.
    """
    return prompt


def draw_scatter(folder: Path, news: News) -> str:
    """Draw ``tsne.png``, and say of what it is."""
    from examples.tools.topics import scatter

    classes = [item["class"] for item in news]
    scatter(texts_of(news), classes, folder / "tsne.png", fingerprint(news))
    return f"tsne.png: {len(news)} texts of {len(set(classes))} classes"


def draw_topics(folder: Path, news: News) -> str:
    """Draw ``lda.png``, and say which topics there are."""
    from examples.tools.topics import topics

    found = topics(texts_of(news), folder / "lda.png", fingerprint(news))
    lines = [f"topic {number}: {', '.join(words)}" for number, words in enumerate(found, 1)]
    return "\n".join([f"lda.png: {len(found)} topics", *lines])


def news_in(path: Path) -> News:
    """The rows of a file of news; a first row of column names is skipped."""
    news = []
    for number, row in enumerate(rows_of(path, PUBLISHED), 1):
        if len(row) == len(COLUMNS) and row[0].strip().isdecimal():
            news.append(dict(zip(COLUMNS, row, strict=True)))
        elif number > 1:
            raise DataMissing(f"{path}, line {number}: not a class, a title and a text; {PUBLISHED}")
    return news


def texts_of(news: News) -> list[str]:
    """What is analysed of each: title and text."""
    return [f"{item['title']}. {item['text']}" for item in news]


def fingerprint(news: News) -> str:
    """Says of which news a picture is, without the news."""
    return f"{len(news)} texts {zlib.crc32(''.join(texts_of(news)).encode()):08x}"


def _read_file(folder: Path, rows: str) -> Path:
    """The file that ``read`` made. Raises ``FileNotFoundError`` without a word of where that is."""
    path = _below(folder, rows)
    if not path.is_file():
        raise FileNotFoundError(f"{rows}: there is no such file of news; read returns the name of one")
    return path


def _below(folder: Path, path: str) -> Path:
    """A path in the folder of this run. Raises ``ValueError`` for any other."""
    target = (folder / path).resolve()
    if folder not in target.parents:
        raise ValueError(f"{path}: only files below the folder of this run can be used; give a relative path")
    return target


def _files(folder: Path) -> Sequence[Path]:
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise DataMissing(f"{folder}: there is no file *.csv; {PUBLISHED}")
    return files
