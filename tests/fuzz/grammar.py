"""Random inputs by a grammar: plans in every form, right and wrong, replies around them, JSON and records.

The same random numbers give the same input. Most are short; a few are one piece again and again, up to ``LONGEST``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.fuzz.shapes import SHAPES, shaped

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

LONGEST = 100_000
"""Characters of the longest input."""

FUNCTION_NAMES = ("f", "g", "search", "load", "count", "save", "self", "nobody")
_BUILTINS = ("len", "min", "max", "sum", "round", "abs", "sorted", "str", "int", "float", "print", "eval")
_PARAMETERS = ("x", "y", "query", "k", "items", "table", "when", "path", "prompt", "class", "é")
_FIELDS = ("a", "area", "name", "shape", "__class__", "_x", "gi_frame", "é", "real")
_NUMBERS = (
    *("0", "1", "2", "7", "-1", "10", "0.5", ".5", "1.", "1e9", "1e999", "-1e999", "1e-400", "0x1f", "0o17", "0b101"),
    *("1_000", "1__0", "01", "00", "0x", "1e", "9" * 400, "9" * 5_000, "0x" + "f" * 2_000, "0b" + "1" * 5_000),
    *("0o" + "7" * 1_400, "2**63", "1j", "1.5e3j", "0.1" + "1" * 400, "1_0.0_1e1_0", "-0.0", "-0", "1if 1else 2"),
)
_WORDS = (
    *("a", "words", "Texas", "s1", "s9", "{", "}", "{{", "}}", "{}", "{ }", "{s1", "s1}", "{s1:.2f}", "{s1!r}", "{s1=}"),
    *("{s1, s2}", "{query}", "{t1}", "$1", "$100", "${1}", "US$1", "$1.50", "#", "'", '"', "\\", "\\n", "\\x00", "\\ud800"),
    *("\\N{DASH}", "\\N{NOTHING}", "\\777", "\\u12", "é", "\u4e2d\u6587", "\U0001f600", "\ud800", "\u2028", "\u200b", "\t"),
    *("\n", "\r", "\0", "\x07", "\x1b[31m", "\x85", "\ufeff", "</think>", "<think>", "<|im_end|>", "```", "%s", "%d" * 9),
    *("s1 = f(x=1)", "s2 = f(", "a\\", "0", "1e5", "None", "True", "nan", "\u0661\u0662", "\u0130", "\ufb01", "ª"),
)
_ODD_OPERATORS = ("@", "<<", ">>", "|", "&", "^", "is", "is not", ":=", "=", "->", "!", "$", "?", "..", "<>", "++")
_OPERATORS = (
    *("+", "-", "*", "/", "//", "%", "**"),
    *("==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"),
)
_PROSE = (
    *("Here is the plan:", "Sure!", "I would call f(x) first.", "s1 = the page about it", "First, s1 = f(x=1) is made."),
    *("", "---", "### Plan", "## Thoughts", "Thought: hm", "Answer: 42", "**Steps**", "1. Search for it", "- f(a b)"),
    *("# a comment", "User: and then?", "Step 1: s1 = f(x=1)", "`s1 = f(x=1)`", "> s1 = f(x=1)", ">>> s1 = f(x=1)"),
    *("for x in s1:", "if s1:", "else:", "return s1", "print(s1)", "await f(x=1)", "join()", "3. join()<END_OF_PLAN>"),
)
_MARKS = (
    *("<think>", "</think>", "<thinking>", "</thinking>", "<a>", "</a>", "<plan>", "</plan>", "<note x='1'>", "</note>"),
    *("```", "```python", "```json", "~~~", "````", "``` s1 = f(x=1)", "[THOUGHT]", "[/THOUGHT]", "◁think▷", "◁/think▷"),
    *("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", "<|im_start|>assistant", "<|im_end|>"),
    *("<unused94>", "<unused95>", "assistantfinal", "</s>", "<s>", "<!--", "-->", "&lt;think&gt;", "[END]", "<br/>"),
)
_PIECES = (
    *("(", ")", "[", "]", "{", "}", ",", ":", "=", ".", ";", "#", "\\", "\n", "\r", "\t", " ", "'", '"', "'''", '"""'),
    *("f'", "r'", "b'", "f'{", "s1", "s2", "f(", "x=", "*", "**", "-", "not ", "lambda: ", " if ", " else ", " for x in "),
    *("await ", "yield ", "1", "0x", "1e", "$1", "{s1}", "\0", "\x1a", "\ud800", "\u2028", "é", "\U0001f600", "\ufeff", "_"),
)


def plan_input(random: Random) -> str:
    """A text that is read as a plan or as a reply with one."""
    roll = random.random()
    if roll < 0.006:
        return _long(random)
    if roll < 0.03:
        return shaped(random.choice(list(SHAPES)), _size(random, 1_000))
    if roll < 0.08:
        return "".join(random.choice(_PIECES) for _ in range(random.randint(0, 40)))
    text = _plan(random)
    if random.random() < 0.25:
        text = _reply(random, text)
    if random.random() < 0.4:
        text = _mutated(random, text)
    return text[:LONGEST]


def json_input(random: Random) -> str:
    """A text that is read as the arguments of a native tool call."""
    roll = random.random()
    if roll < 0.01:
        piece = random.choice(('{"a":', "[", '"a",', "9", "\\ud800", '{"a":1},', "-", " ", '"a":1,', "1e", "null,"))
        return ('{"a":' * random.randint(0, 1) + piece * (_size(random, LONGEST) // len(piece)))[:LONGEST]
    if roll < 0.2:
        return "".join(random.choice(_PIECES) for _ in range(random.randint(0, 20)))
    pairs = [(random.choice(_PARAMETERS), _json(random, 3)) for _ in range(random.randint(0, 4))]
    text = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}"
    return _mutated(random, text) if random.random() < 0.3 else text


def _json(random: Random, depth: int) -> str:
    kind = random.randint(0, 5 if depth else 3)
    if kind == 0:
        return random.choice(("1", "-0", "-0.0", "1e999", "NaN", "Infinity", "null", "true", "9" * 5_000, "1.50", "0.1e-5"))
    if kind <= 3:
        return json.dumps("".join(random.choice(_WORDS) for _ in range(random.randint(0, 3))), ensure_ascii=kind == 1)
    items = [_json(random, depth - 1) for _ in range(random.randint(0, 4))]
    if kind == 4:
        return f"[{', '.join(items)}]"
    return "{" + ", ".join(f"{json.dumps(random.choice(_WORDS))}: {item}" for item in items) + "}"


def changed_json(random: Random, data: Any, times: int) -> Any:
    """A JSON value with a few of its parts replaced, left out, doubled or moved."""
    data = json.loads(json.dumps(data))
    for _ in range(times):
        holders = _holders(data)
        holder = random.choice(holders)
        keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            continue
        key = random.choice(keys)
        match random.randint(0, 4):
            case 0:
                del holder[key]
            case 1:
                other = random.choice(holders)
                values = list(other.values()) if isinstance(other, dict) else other
                holder[key] = json.loads(json.dumps(random.choice(values))) if values else None
            case 2 if isinstance(holder, list):
                holder += holder[key : key + 1] * random.choice((1, 2, 50))
            case 2:
                holder[random.choice(_WORDS)] = holder[key]
            case _:
                holder[key] = random.choice(_LEAVES)(random)
    return data


def _holders(data: Any) -> list[Any]:
    found, ahead = [], [data]
    while ahead:
        one = ahead.pop()
        if isinstance(one, dict | list):
            found.append(one)
            ahead += one.values() if isinstance(one, dict) else one
    return found or [[data]]


_LEAVES: tuple[Callable[[Random], Any], ...] = (
    lambda random: random.choice(_WORDS) * random.choice((1, 1, 1, 300)),
    lambda random: random.choice((0, 1, -1, 2, 10**6, 10**30, 2**63, 0.5, -0.0, 1e300, 5e-324, 1e999, -1e999, True, None)),
    lambda _: float("nan"),
    lambda random: f"s{random.randint(0, 4)}",
    lambda random: random.choice(([], {}, [[]], {"a": {}}, [None], ["s1", "s1"])),
    lambda random: [random.randint(0, 9)] * random.randint(0, 9),
    lambda random: random.choice(("completed", "failed", "compute", "inout", "answered", "retry")),
)


def _size(random: Random, most: int) -> int:
    """A number up to ``most``; each order of magnitude is as likely."""
    return int(10 ** random.uniform(0, len(str(most)) - 1))


def _long(random: Random) -> str:
    """A long text: a shape, or a piece of the grammar again and again."""
    size = random.choice((LONGEST, _size(random, LONGEST)))
    if random.random() < 0.5:
        return shaped(random.choice(list(SHAPES)), size)
    before, piece, after = _broken(random), _piece(random), _broken(random)
    times = max(0, (size - len(before) - len(after)) // max(1, len(piece)))
    return (before + piece * times + after)[:LONGEST]


def _piece(random: Random) -> str:
    match random.randint(0, 4):
        case 0:
            return "".join(random.choice(_PIECES) for _ in range(random.randint(1, 3)))
        case 1:
            return random.choice(_WORDS) + random.choice(_WORDS)
        case 2:
            return random.choice((*_PROSE, *_MARKS)) + random.choice(("", " ", "\n"))
        case 3:
            return expression(random, ["s1"], 2) + random.choice(("", ", ", "\n"))
        case _:
            return _broken(random)


def _broken(random: Random) -> str:
    """A statement, cut off somewhere."""
    text = _statement(random, 2, ["s1"])
    return text[: random.randint(0, len(text))]


def _mutated(random: Random, text: str) -> str:
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        at = random.randint(0, len(text))
        end = min(len(text), at + random.choice((1, 1, 2, 5, 20)))
        match random.randint(0, 5):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:at] + random.choice(_PIECES) + text[at:]
            case 2:
                text = text[:at] + random.choice(_PIECES) + text[end:]
            case 3:
                text = text[:at] + text[at:end] * random.choice((2, 3, 10)) + text[end:]
            case 4:
                text = text[:at] + chr(random.choice((random.randrange(128), random.randrange(0x110000)))) + text[at:]
            case _:
                there = random.randint(0, len(text))
                text = text[:at] + text[there : there + 20] + text[end:]
    return text[:LONGEST]


def _plan(random: Random) -> str:
    ids: list[str] = []
    form = random.randint(0, 3)
    lines = []
    for number in range(1, random.choice((1, 1, 2, 2, 3, 4, 6)) + 1):
        lines.append(_statement(random, number, ids, form))
        ids.append(f"s{number}")
    return random.choice(("\n", "\n", "\n", "\n\n", "\r\n", "; ")).join(lines) + random.choice(("", "\n"))


def _statement(random: Random, number: int, ids: list[str], form: int = 0) -> str:
    call = _call(random, ids)
    if random.random() < 0.06:
        call = random.choice(("await {}", "({})", "{} if s1 else {}", "{}.a", "{}[0]", "{}; {}", "not {}", "f({})")).format(
            call, call
        )
    id_ = f"s{number}"
    if random.random() < 0.05:
        id_ = random.choice(("s1", "page3", "self", "len", "_x", "é", "s1.a", "s1, s2", "a = b", "x" * 70, "1", "$1", "class"))
    if random.random() < 0.05:
        form = random.randint(0, 8)
    comment = random.choice((" # what it is for", " # {s1} <think>", "\t#")) if random.random() < 0.05 else ""
    forms = {
        2: f"{id_}: {call}",
        3: f"{number}. {call}",
        4: f"{id_}: str = {call}",
        5: call,
        6: f"return {call}",
        7: f"{number}) {call}",
        8: f"  {id_} := {call}",
    }
    return forms.get(form, f"{id_} = {call}") + comment


def _call(random: Random, ids: list[str]) -> str:
    given = []
    for _ in range(random.choice((0, 1, 1, 2, 2, 3))):
        value = expression(random, ids, random.choice((0, 1, 1, 2, 3)))
        name = random.choice(_PARAMETERS)
        given.append(f"{name}={value}" if random.random() < 0.8 else random.choice(("", "", "*", "**")) + value)
    between = random.choice((", ", ", ", ", ", ",\n  ", " , "))
    return f"{random.choice(FUNCTION_NAMES)}({between.join(given)}{random.choice(('', '', '', ',', chr(10)))})"


def expression(random: Random, ids: list[str], depth: int) -> str:
    """An argument, right or wrong, of so many levels at most."""
    if depth <= 0 or random.random() < 0.2:
        return _leaf(random, ids)
    if random.random() < 0.01:
        return _deep(random, ids)

    def inner() -> str:
        return expression(random, ids, depth - 1)

    match random.randint(0, 11):
        case 0:
            return f"{random.choice(('-', '+', 'not ', '-', '~', '- -'))}{inner()}"
        case 1 | 2:
            operator = random.choice(_OPERATORS if random.random() < 0.95 else _ODD_OPERATORS)
            return f"{inner()} {operator} {inner()}"
        case 3:
            return f"({inner()})"
        case 4:
            brackets = random.choice(("[]", "[]", "()", "{}"))
            return brackets[0] + ", ".join(inner() for _ in range(random.randint(0, 4))) + brackets[1]
        case 5:
            pairs = [f"{inner()}: {inner()}" for _ in range(random.randint(0, 4))]
            return "{" + ", ".join([*pairs, *(["**" + inner()] if random.random() < 0.03 else [])]) + "}"
        case 6:
            key = random.choice((inner(), f"{inner()}:{inner()}", ":", f":{inner()}", "::2", "1, 2", "-1", "'a'", "..."))
            return f"{inner()}[{key}]"
        case 7:
            return f"{inner()}.{random.choice(_FIELDS)}"
        case 8:
            return f"{random.choice(_BUILTINS)}({', '.join(inner() for _ in range(random.randint(0, 3)))})"
        case 9:
            comparisons = [f"{random.choice(_OPERATORS[7:15])} {inner()}" for _ in range(random.randint(1, 3))]
            return " ".join([inner(), *comparisons])
        case 10:
            return _text(random, ids)
        case _:
            odd = ("lambda: {}", "[{} for x in {}]", "{} if {} else {}", "(x := {})", "*{}", "f(x={})", "(yield {})", "{}()")
            return random.choice(odd).format(inner(), inner(), inner()) if random.random() < 0.2 else inner()


def _deep(random: Random, ids: list[str]) -> str:
    """Something within itself, or one after the other, often."""
    times = random.choice((5, 20, 39, 41, 59, 61, 100, 300, 2_000))
    before, after = random.choice(
        (
            *(("[", "]"), ("(", ")"), ("{1: ", "}"), ("-", ""), ("not ", ""), ("f'{", "}'"), ("len(", ")"), ("", ".a")),
            *(("", "[0]"), ("1 + ", ""), ("", " + 1"), ("2 ** ", ""), ("1 < ", ""), ("1 and ", ""), ("'{s1", "}'")),
        )
    )
    if before == "'{s1":
        return "'{s1" + random.choice((".a", "[0]", '["a"]', "[-1]")) * times + "}'"
    return before * times + _leaf(random, ids) + after * times


def _leaf(random: Random, ids: list[str]) -> str:
    match random.randint(0, 9):
        case 0 | 1 | 2 if ids:
            return random.choice(ids)
        case 0 | 1 | 2 | 3 | 4:
            return random.choice(_NUMBERS[:14] if random.random() < 0.7 else _NUMBERS)
        case 5 | 6 | 7:
            return _text(random, ids)
        case 8:
            return random.choice(("True", "False", "None"))
        case _:
            return random.choice(("...", "true", "null", "s99", "t1", "x", "$1", "nan", "inf", "", "b'a'", "{}", "[]", "()"))


def _text(random: Random, ids: list[str]) -> str:
    """A string literal, perhaps an f-string or several side by side, with results in braces or what looks so."""
    pieces = []
    for _ in range(random.choice((0, 1, 1, 2, 3, 5))):
        if ids and random.random() < 0.4:
            path = "".join(
                random.choice((".a", "[0]", '["a"]', "[-1]", "['é']", ".area", "[s1]", "['{s1}']", "._x", "[1:2]", "(1)"))
                for _ in range(random.choice((0, 0, 1, 2)))
            )
            space = random.choice(("", "", "", " "))
            pieces.append("{" + space + random.choice(ids) + path + space + "}")
        else:
            pieces.append(random.choice(_WORDS[:-30] if random.random() < 0.5 else _WORDS))
    quote = random.choice(('"', "'", '"', "'", '"""', "'''"))
    prefix = random.choice(("", "", "", "", "f", "f", "r", "b", "rb", "u", "F", "fr", "Rb", "t"))
    text = random.choice(("", "", " ")).join(pieces)
    if random.random() < 0.8:
        text = text.replace(quote[0], "").replace("\0", "").rstrip("\\")
        text = text if len(quote) == 3 else text.replace("\n", "\\n").replace("\r", "")
    made = prefix + quote + text + quote
    return f"{made} {_text(random, ids)}" if random.random() < 0.05 else made


def _reply(random: Random, plan: str) -> str:
    """What a model may write around a plan, or amid it."""
    lines = plan.split("\n")
    for _ in range(random.choice((1, 2, 3, 5))):
        at = random.choice((0, len(lines), random.randint(0, len(lines))))
        lines.insert(at, random.choice((*_PROSE, *_MARKS)))
    if random.random() < 0.3:
        at = random.randrange(len(lines))
        label = random.choice(("- ", "* ", "> ", "1. ", "`", "**", "Step 1: ", "[x] ", ">>> ", "</think>", "<a>", "(a) ", "• "))
        lines[at] = label + lines[at] + random.choice(("", "`", "**", " (first)", " -> 3", " <!-- x -->", "</think>"))
    return "\n".join(lines)
