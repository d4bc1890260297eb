"""What a failed call says has no key: none of the program's variables, and none of the function's own."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from llmorch.errors import MESSAGE
from llmorch.places.failure import DETAIL, described

MASK = "*" * 10
KEY = "Zq8-very/secret+key"


def failed(error: BaseException) -> tuple[str, str]:
    """The line and the traceback of an exception that is raised here."""
    try:
        raise error
    except BaseException as raised:
        return described(raised)


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "DB_PASSWORD", "GITHUB_TOKEN", "dbPassword", "AWS_SECRET_ACCESS_KEY", "PGPASS"]
)
def test_a_key_of_the_program_is_in_neither_the_line_nor_the_traceback(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, KEY)
    line, detail = failed(ValueError(f"401 for ({KEY}) at x?y={KEY}"))
    assert line == f"ValueError: 401 for ({MASK}) at x?y={MASK}"
    assert detail.endswith(f"ValueError: 401 for ({MASK}) at x?y={MASK}\n")
    assert KEY not in detail


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "none"),  # too short to be one
        ("API_KEY", "localhost"),  # a word
        ("DB_PASSWORD", "postgres"),
        ("MAX_RETRIES", "1234567890"),  # no name of a secret
        ("HOME", "/home/somebody"),
        ("EDITOR", "an-editor-of-texts"),
    ],
)
def test_a_common_word_and_what_is_no_secret_stay(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert failed(ValueError(f"no {value}"))[0] == f"ValueError: no {value}"


def test_a_key_is_masked_wherever_an_exception_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", KEY)

    def made() -> BaseException:
        try:
            try:
                raise KeyError(KEY)
            except KeyError as first:
                raise OSError(5, KEY, KEY) from first
        except OSError:
            try:
                raise ExceptionGroup("all", [ValueError(KEY), ExceptionGroup(KEY, [TypeError({KEY: [KEY]})])])
            except ExceptionGroup as group:
                group.add_note(f"a note of {KEY}")
                return group

    line, detail = failed(made())
    assert KEY not in line + detail
    assert line.count(MASK) >= 6


@pytest.mark.parametrize(
    "key",
    ["first-line-1\nsecond-line-2", "tab\tand  two spaces 1", 'it\'s "quoted" 123', "ä€-\U0001f511-1234567"],
)
def test_a_key_of_several_lines_or_odd_characters_is_masked_in_each_form(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", key)
    for error in (
        ValueError(key),
        ValueError(repr(key)),
        KeyError(key),
        ValueError("a", key),
        ValueError({key: 1}),
    ):
        line, detail = failed(error)
        assert MASK in line
        assert not any(part in line + detail for part in (key, repr(key)[1:-1], *key.splitlines()))


def test_a_key_with_a_nul_is_masked() -> None:
    """No variable can have one, but one of the function's can."""

    def fails(api_key: str) -> None:
        raise ValueError(f"no {api_key}", api_key)

    with pytest.raises(ValueError, match="no") as caught:
        fails("half-of-it\0the-other-half")
    line, detail = described(caught.value)
    assert line == f"ValueError: ('no {MASK}', '{MASK}')"
    assert "half" not in detail.replace("the_other", "").splitlines()[-1]


@pytest.mark.parametrize("before", range(7_960, 8_010, 3))
def test_no_half_of_a_key_is_left_where_a_long_message_is_cut(
    before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", KEY * 3)
    for error in (
        ValueError("x" * before + KEY * 3),
        type("Own", (Exception,), {"__str__": lambda _: "x" * before + KEY * 3})(),
    ):
        line, detail = failed(error)
        assert KEY[:8] not in line
        assert KEY not in detail
        assert len(line) <= MESSAGE
        assert len(detail) <= DETAIL


def test_of_a_keys_owner_the_object_is_not_asked() -> None:
    class Odd:
        def __init__(self) -> None:
            self.token = KEY

        def __getattribute__(self, name: str) -> Any:
            if name == "__dict__":
                raise SystemExit
            return object.__getattribute__(self, name)

        def fail(self) -> None:
            raise ValueError(f"with {self.token}")

    with pytest.raises(ValueError, match="with") as caught:
        Odd().fail()
    assert described(caught.value)[0] == f"ValueError: with {MASK}"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("{'Authorization': 'Bearer abcdefgh.ijklmnop-1'}", f"{{'Authorization': 'Bearer {MASK}'}}"),
        ("authorization: basic dXNlcjpwYXNzd29yZDE=", f"authorization: basic {MASK}"),
        ("the bearer of news is late", "the bearer of news is late"),
        ("Basic understanding", "Basic understanding"),
        ("http://me:secret@host/x", f"http://me:{MASK}@host/x"),
        ("http://host/x?page=2&api_key=abc&n=1", f"http://host/x?page=2&api_key={MASK}&n=1"),
    ],
)
def test_headers_and_addresses_are_masked_whoever_has_them(said: str, shown: str) -> None:
    assert failed(ValueError(said))[0] == f"ValueError: {shown}"


def test_to_look_for_keys_costs_a_failure_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two hundred variables, many of them keys; a failure is a millisecond's work elsewhere."""
    for at in range(200):
        monkeypatch.setenv(f"SERVICE_{at}_{'TOKEN' if at % 4 == 0 else 'NAME'}", f"value-{at}-of-something")
    error = ValueError("x" * 500)
    failed(error)
    taken = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(20):
            failed(ValueError("x" * 500))
        taken.append((time.process_time() - began) / 20)
    assert min(taken) < 0.005
    assert len(os.environ) > 200
