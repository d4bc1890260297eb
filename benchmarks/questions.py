"""What a question set is: questions, the functions that answer them, and a check; and how its files are read.

A set knows nothing of techniques, models or timings; ``asking`` knows nothing of what is
asked. The data itself stays in the folder that ``--data`` names.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.tools.pages import Page, Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SAMPLE = Path(__file__).parent / "sample"


class DataMissing(Exception):
    """A file of the data is not there or can't be read: says which, and where it is published."""


@dataclass(frozen=True)
class Question:
    """One query of a set; ``answer`` is what is right, in whatever form the set's check takes."""

    id: str
    text: str
    answer: Any = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class QuestionSet:
    """One benchmark's questions, all of them from files below a folder of data.

    ``processors`` is how many the paper grants this set. ``questions(data)`` has every question in the order
    of the files, or raises ``DataMissing``. ``functions(data, work, delay)`` may be called, decorated with
    ``@function``: ``work`` is an empty folder for what is written, ``delay`` the seconds that a remote lookup
    would take. ``right(question, answer, work)`` is whether an answer, and what was written, is right.
    """

    name: str
    processors: int
    questions: Callable[[Path], list[Question]]
    functions: Callable[..., list[Callable[..., Any]]]
    right: Callable[[Question, Any, Path], bool]
    own_examples: Path | None = None

    @property
    def examples(self) -> Path:
        """A file of queries and plans for the prompt, none of them from the questions."""
        return self.own_examples or Path(__file__).parent / "sets" / "examples" / f"{self.name}.plans"


def text_of(path: Path, published: str) -> str:
    """The text of a file, its line ends as they are. Raises ``DataMissing`` with one line."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
        raise DataMissing(f"{path}: {reason}; {published}") from None


def json_of(path: Path, published: str) -> list[Any]:
    """A JSON list that has something in it, or one value a line in a file ``.jsonl``."""
    text = text_of(path, published)
    try:
        if path.suffix == ".jsonl":
            found = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataMissing(f"{path}: it isn't JSON ({error}); {published}") from None
    if not isinstance(found, list) or not found:
        raise DataMissing(f"{path}: it isn't a list of records; {published}")
    return found


def records_of(path: Path, published: str, **fields: type | tuple[type, ...]) -> list[dict[str, Any]]:
    """The objects of such a file; ``fields`` are what each must have. An ``"id": null`` is none."""
    found = json_of(path, published)
    for number, record in enumerate(found, 1):
        for name, kind in fields.items():
            if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                raise DataMissing(f"{path}: record {number} has no {name!r} as it should; {published}")
        if "question" in fields and not record["question"].strip():
            raise DataMissing(f"{path}: record {number} has an empty 'question'; {published}")
        if "id" in record and record["id"] is None:
            del record["id"]
    return found


def pages_of(path: Path, published: str) -> Pages:
    """The pages of a file of records with title and text. Raises ``DataMissing``."""
    return _pages(path, published, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=2)
def _pages(path: Path, published: str, changed: int) -> Pages:
    """Read once as long as the file stays as it is."""
    return Pages(Page(one["title"], one["text"]) for one in records_of(path, published, title=str, text=str))


def rows_of(path: Path, published: str, *columns: str) -> list[list[str]]:
    """These columns of a CSV file; all of it, the first line too, if none are named."""
    reader = csv.reader(io.StringIO(text_of(path, published), newline=""), strict=True)
    try:
        header = next(reader, []) if columns else []
        if not set(columns) <= set(header):
            raise DataMissing(f"{path}: its columns aren't {', '.join(columns)}; {published}")
        places = [header.index(column) for column in columns]
        rows = []
        for row in filter(None, reader):
            if len(row) < len(header):
                raise DataMissing(f"{path}: line {reader.line_num} is cut short; {published}")
            rows.append([row[place] for place in places] if columns else row)
    except csv.Error as error:
        raise DataMissing(f"{path}, line {reader.line_num}: {error}; {published}") from None
    return rows


def wordings(name: str) -> Any:
    """How a set's questions are worded."""
    path = Path(__file__).parent / "sets" / "wordings.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))[name]
