"""Random inputs by a grammar: plans in every form, right and wrong, replies around them, JSON and records.

The same random numbers give the same input. Most are short; a few are one piece again and again, up to ``LONGEST``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.fuzz.shapes import SHAPES, alternatives, shaped

if TYPE_CHECKING:
    from random import Random

LONGEST = 100_000
"""Characters of the longest input."""

RULES = {
    "odd statement": alternatives(
        "s«n»: str = «call» ¦ «call» ¦ return «call» ¦ «n») «call» ¦  s«n» := «call» ¦ s«n» = await «call»"
        " ¦ s«n» = («call») ¦ s«n» = «call» if s1 else «call» ¦ s«n» = «call».a ¦ s«n» = «call»[0]"
        " ¦ s«n» = «call»; «call» ¦ s«n» = not «call» ¦ s«n» = «call» # {s1} <think> ¦ s«n» = «expr»"
        " ¦ «odd id» = «call» ¦ «odd id»: «call» ¦ s«n» = «call»\t# words ¦ s1.a = «call» ¦ s1, s2 = «call»"
        " ¦ a = b = «call» ¦ s«n» = f(x=«call») ¦ s«n» = f.g(x=«expr») ¦ s«n» = (f)(«expr»)"
    ),
    "odd id": alternatives(
        "s1 ¦ page3 ¦ self ¦ len ¦ _x ¦ é ¦ 1 ¦ $1 ¦ class ¦ ª ¦ s01 ¦ s1s1 ¦ S1"
        " ¦ aaaaaaaaaaaaaaaaaaaaaaaaaa_b"
    ),
    "call": alternatives(
        "«function»(«argument*, ») ¦ «function»(«argument*, ») ¦ «function»(«argument*, »)"
        " ¦ «function»(«argument*,\n  »\n) ¦ «function»(«argument* , »,) ¦ «function»(«argument», **«expr»)"
        " ¦ «function» («argument*,»)"
    ),
    "function": alternatives("f ¦ g ¦ search ¦ load ¦ count ¦ save ¦ f ¦ g ¦ self ¦ nobody"),
    "argument": alternatives(
        "«name»=«expr» ¦ «name»=«expr» ¦ «name»=«expr» ¦ «name»=«expr» ¦ «name»=«expr» ¦ «name»=«expr»"
        " ¦ «expr» ¦ *«expr»"
    ),
    "name": alternatives(
        "x ¦ y ¦ query ¦ k ¦ items ¦ table ¦ when ¦ path ¦ x ¦ y ¦ query ¦ k ¦ items ¦ class ¦ é ¦ self"
    ),
    "expr": alternatives(
        "«id» ¦ «leaf» ¦ «text» ¦ «sign»«expr» ¦ «expr» «operator» «expr» ¦ «expr» «operator» «expr»"
        " ¦ («expr») ¦ [«expr*, »] ¦ («expr*, ») ¦ {«pair*, »} ¦ «expr»[«key»] ¦ «expr».«field»"
        " ¦ «builtin»(«expr*, ») ¦ «expr» < «expr» <= «expr» ¦ «text» ¦ «expr» and «expr» or «expr»"
        " ¦ «odd expr» ¦ «expr»[«key»] ¦ «expr» in «expr» ¦ {«text»: «expr», «text»: «expr»}"
    ),
    "odd expr": alternatives(
        "«expr» «odd operator» «expr» ¦ lambda: «expr» ¦ [«expr» for x in «expr»]"
        " ¦ «expr» if «expr» else «expr» ¦ (x := «expr») ¦ *«expr» ¦ f(x=«expr») ¦ (yield «expr»)"
        " ¦ «expr»() ¦ {**«expr»} ¦ {«expr*, »} ¦ ~«expr» ¦ «expr»::«expr» ¦ ... ¦ «deep» ¦ «deep»"
        " ¦ «text» «text» ¦ await «expr»"
    ),
    "deep": alternatives(
        "[«expr»] ¦ («expr») ¦ {1: «expr»} ¦ -«expr» ¦ not «expr» ¦ f'{«expr»}' ¦ len(«expr») ¦ «expr».a"
        " ¦ «expr»[0] ¦ 1 + «expr» ¦ «expr» + 1 ¦ 2 ** «expr» ¦ 1 < «expr» ¦ 1 and «expr» ¦ -(«expr»)"
        " ¦ +«expr»"
    ),
    "pair": alternatives("«expr»: «expr» ¦ «text»: «expr» ¦ «leaf»: «expr»"),
    "key": alternatives("«expr» ¦ «text» ¦ 0 ¦ -1 ¦ «expr»:«expr» ¦ : ¦ :«expr» ¦ 'a' ¦ ::2 ¦ 1, 2 ¦ ..."),
    "field": alternatives("a ¦ area ¦ name ¦ shape ¦ b ¦ __class__ ¦ _x ¦ gi_frame ¦ é ¦ real"),
    "builtin": alternatives(
        "len ¦ min ¦ max ¦ sum ¦ round ¦ abs ¦ sorted ¦ str ¦ int ¦ float ¦ print ¦ eval"
    ),
    "sign": alternatives("- ¦ + ¦ not  ¦ - ¦ - - ¦ -+"),
    "operator": alternatives(
        "+ ¦ - ¦ * ¦ / ¦ // ¦ % ¦ ** ¦ == ¦ != ¦ < ¦ <= ¦ > ¦ >= ¦ in ¦ not in ¦ and ¦ or"
    ),
    "odd operator": alternatives(
        "@ ¦ << ¦ >> ¦ | ¦ & ¦ ^ ¦ is ¦ is not ¦ := ¦ = ¦ -> ¦ ! ¦ $ ¦ ? ¦ .. ¦ <> ¦ ++"
    ),
    "leaf": alternatives(
        "«id» ¦ «id» ¦ «number» ¦ «number» ¦ «text» ¦ «text» ¦ True ¦ False ¦ None ¦ «odd leaf»"
    ),
    "odd leaf": alternatives(
        "... ¦ true ¦ null ¦ s99 ¦ t1 ¦ x ¦ $1 ¦ nan ¦ inf ¦  ¦ b'a' ¦ {} ¦ [] ¦ () ¦ «odd number»"
    ),
    "number": alternatives(
        "0 ¦ 1 ¦ 2 ¦ 7 ¦ -1 ¦ 10 ¦ 0.5 ¦ .5 ¦ 1. ¦ 1e9 ¦ 1e999 ¦ -1e999 ¦ 0x1f ¦ -0.0 ¦ -0 ¦ 2**63"
        " ¦ «odd number»"
    ),
    "odd number": [
        *alternatives(
            "1e-400 ¦ 0o17 ¦ 0b101 ¦ 1_000 ¦ 1__0 ¦ 01 ¦ 00 ¦ 0x ¦ 1e ¦ 1j ¦ 1.5e3j ¦ 1_0.0_1e1_0"
            " ¦ 1if 1else 2 ¦ 1_ ¦ ٣"
        ),
        *(
            "9" * 400,
            "9" * 5_000,
            "0x" + "f" * 3_600,
            "0b" + "1" * 5_000,
            "0o" + "7" * 1_400,
            "0.1" + "1" * 400,
        ),
    ],
    "text": alternatives(
        '"«piece*»" ¦ \'«piece*»\' ¦ "«piece* »" ¦ \'«piece* »\' ¦ """«piece*»""" ¦ f"«piece*»"'
        " ¦ f'«piece*»' ¦ \"«odd piece*»\" ¦ '''«odd piece*»''' ¦ «prefix»'«piece*»' ¦ '«piece»' '«piece»'"
        ' ¦ "«piece»" f\'«piece»\' ¦ «prefix»"«odd piece*»"'
    ),
    "prefix": alternatives("f ¦ r ¦ b ¦ rb ¦ u ¦ F ¦ fr ¦ Rb ¦ t"),
    "piece": alternatives(
        "{«id»} ¦ {«id»} ¦ {«id»«path»} ¦ {«id»«path»«path»} ¦ { «id» } ¦ a ¦ words ¦ Texas ¦ s1 ¦ {query}"
        " ¦ $1 ¦ 0 ¦ 1e5 ¦ é ¦ {{ ¦ }} ¦ {} ¦ # ¦ \\n ¦ s1 = f(x=1) ¦ 中文 ¦ 😀 ¦ None ¦ $100 ¦ {s1 ¦ s1}"
        " ¦ <think>"
    ),
    "odd piece": [
        *alternatives(
            "«piece» ¦ «piece» ¦ { ¦ } ¦ { } ¦ {s1:.2f} ¦ {s1!r} ¦ {s1=} ¦ {s1, s2} ¦ {t1} ¦ ${1} ¦ US$1"
            " ¦ $1.50 ¦ ' ¦ \" ¦ \\ ¦ \\x00 ¦ \\ud800 ¦ \\N{DASH} ¦ \\N{NOTHING} ¦ \\777 ¦ \\u12 ¦ \ud800"
            " ¦ \u2028 ¦ \u200b ¦ \x07 ¦ \x1b[31m ¦ \x85 ¦ \ufeff ¦ </think> ¦ <|im_end|> ¦ ``` ¦ %s"
            " ¦ s2 = f( ¦ a\\ ¦ True ¦ nan ¦ ١٢ ¦ İ ¦ ﬁ ¦ ª ¦ {s9} ¦ \U0010ffff"
        ),
        *("\n", "\r", "\0", "\t", "\x0c", "a" * 300, "{s1" + ".a" * 1_500 + "}", "{s1" + "[0]" * 59 + "}"),
    ],
    "path": alternatives(".a ¦ [0] ¦ [\"a\"] ¦ [-1] ¦ ['é'] ¦ .area ¦ [s1] ¦ ['{s1}'] ¦ ._x ¦ [1:2] ¦ (1)"),
    "prose": alternatives(
        "Here is the plan: ¦ Sure! ¦ I would call f(x) first. ¦ s1 = the page about it"
        " ¦ First, s1 = f(x=1) is made. ¦  ¦ --- ¦ ### Plan ¦ ## Thoughts ¦ Thought: hm ¦ Answer: 42"
        " ¦ **Steps** ¦ 1. Search for it ¦ - f(a b) ¦ # a comment ¦ User: and then? ¦ Step 1: s1 = f(x=1)"
        " ¦ `s1 = f(x=1)` ¦ > s1 = f(x=1) ¦ >>> s1 = f(x=1) ¦ for x in s1: ¦ if s1: ¦ else: ¦ return s1"
        " ¦ print(s1) ¦ await f(x=1) ¦ join() ¦ 3. join()<END_OF_PLAN> ¦ «mark» ¦ «mark» ¦ «mark»«mark»"
        " ¦ «mark» ¦ «mark» ¦ «mark» ¦ «mark»«odd statement» ¦ «mark»"
    ),
    "mark": alternatives(
        "<think> ¦ </think> ¦ <thinking> ¦ </thinking> ¦ <a> ¦ </a> ¦ <plan> ¦ </plan> ¦ <note x='1'>"
        " ¦ </note> ¦ ``` ¦ ```python ¦ ```json ¦ ~~~ ¦ ```` ¦ ``` s1 = f(x=1) ¦ [THOUGHT] ¦ [/THOUGHT]"
        " ¦ ◁think▷ ¦ ◁/think▷ ¦ <|channel|>analysis<|message|> ¦ <|channel|>final<|message|> ¦ <|end|>"
        " ¦ <|im_start|>assistant ¦ <|im_end|> ¦ <unused94> ¦ <unused95> ¦ assistantfinal ¦ </s> ¦ <s>"
        " ¦ <!-- ¦ --> ¦ &lt;think&gt; ¦ [END] ¦ <br/>"
    ),
    "label": alternatives(
        "-  ¦ *  ¦ >  ¦ 1.  ¦ ` ¦ ** ¦ Step 1:  ¦ [x]  ¦ >>>  ¦ </think> ¦ <a> ¦ (a)  ¦ • "
    ),
    "after": alternatives("` ¦ ** ¦  (first) ¦  -> 3 ¦  <!-- x --> ¦ </think> ¦ <|end|> ¦ ."),
    "token": [
        *alternatives(
            "( ¦ ) ¦ [ ¦ ] ¦ { ¦ } ¦ , ¦ : ¦ = ¦ . ¦ ; ¦ # ¦ \\ ¦   ¦ ' ¦ \" ¦ ''' ¦ \"\"\" ¦ f' ¦ r' ¦ b'"
            " ¦ f'{ ¦ s1 ¦ s2 ¦ f( ¦ x="
        ),
        *alternatives(
            "* ¦ ** ¦ - ¦ not  ¦ lambda:  ¦  if  ¦  else  ¦  for x in  ¦ await  ¦ yield  ¦ 1 ¦ 0x ¦ 1e ¦ $1"
            " ¦ {s1} ¦ \x1a"
        ),
        *("\n", "\r", "\t", "\0", "\ud800", "\u2028", "é", "\U0001f600", "\ufeff", "_", "\x0c"),
    ],
    "json": alternatives(
        "«json leaf» ¦ «json text» ¦ [«json*, »] ¦ [«json*, »] ¦ {«json pair*, »} ¦ {«json pair*, »}"
    ),
    "json pair": alternatives('"«name»": «json» ¦ "«json piece»": «json»'),
    "json leaf": [
        *alternatives(
            "1 ¦ -0 ¦ -0.0 ¦ 1e999 ¦ NaN ¦ Infinity ¦ null ¦ true ¦ 1.50 ¦ 0.1e-5 ¦ -1 ¦ 1e400"
            " ¦ «json text» ¦ «json text»"
        ),
        *("9" * 5_000, "9" * 4_000, "-" + "9" * 400, "1" + "0" * 4_299 + ".0"),
    ],
    "json text": ['"«json piece*»"'],
    "json piece": alternatives(
        "a ¦ é ¦ \\ud800 ¦ \\ud83d\\ude00 ¦ \\n ¦ s1 = f(x=1) ¦ {s1} ¦ \ud800 ¦ \\u0000 ¦ <think> ¦ $1"
        ' ¦ \\" ¦ \\\\ ¦ 12 ¦ \u2028 ¦ 2026-12-01'
    ),
}
"""By what they make; in «» stands another rule, with ``*`` none to four of it with what follows in between."""
_FORMS = ("s«n» = «call»", "s«n» = «call»", "s«n»: «call»", "«n». «call»")
_HOLE = re.compile(r"«([^«»*]+)(?:\*([^«»]*))?»")
_ENDS = {"expr": "leaf", "odd expr": "leaf", "json": "json leaf"}
"""What is made where nothing more is to be made inside."""


def made(random: Random, text: str, *, number: int = 2, depth: int = 3) -> str:
    """A text with its holes filled; ``number`` is the statement's, ``depth`` of how many levels it may be."""

    def fill(hole: re.Match[str]) -> str:
        rule, between = hole.groups()
        if rule == "n":
            return str(number)
        if rule == "id":
            return f"s{random.randint(1, max(1, number - 1))}"
        if depth <= 0:
            rule = _ENDS.get(rule, rule)
        inside = depth - (rule in _ENDS)
        times = 1 if between is None else random.choice((0, 1, 1, 2, 3, 4))
        some = [made(random, random.choice(RULES[rule]), number=number, depth=inside) for _ in range(times)]
        return (between or "").join(some)

    return _HOLE.sub(fill, text)


def plan_input(random: Random) -> str:
    """A text that is read as a plan or as a reply with one."""
    roll = random.random()
    if roll < 0.002:
        return _long(random)
    if roll < 0.02:
        return shaped(random.choice(SHAPES), _size(random, 1_000))
    if roll < 0.03:
        return _deep(random)
    if roll < 0.08:
        return "".join(made(random, "«token»") for _ in range(random.randint(0, 40)))
    form, lines = random.choice(_FORMS), []
    for number in range(1, random.choice((1, 1, 2, 2, 3, 4, 6)) + 1):
        odd = random.random() < 0.08
        lines.append(
            made(
                random,
                "«odd statement»" if odd else form,
                number=number,
                depth=random.choice((0, 1, 1, 2, 3)),
            )
        )
    text = random.choice(("\n", "\n", "\n", "\n\n", "\r\n", "; ")).join(lines) + random.choice(("", "\n"))
    if random.random() < 0.3:
        text = _reply(random, text)
    if random.random() < 0.4:
        text = _mutated(random, text)
    return text[:LONGEST]


def _reply(random: Random, plan: str) -> str:
    """What a model may write around a plan, or amid it."""
    lines = plan.split("\n")
    for _ in range(random.choice((1, 2, 3, 5))):
        at = random.choice((0, len(lines), random.randint(0, len(lines))))
        lines.insert(at, made(random, "«prose»"))
    if random.random() < 0.3:
        at = random.randrange(len(lines))
        lines[at] = made(random, "«label»") + lines[at] + random.choice(("", "", made(random, "«after»")))
    return "\n".join(lines)


def _mutated(random: Random, text: str) -> str:
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        at = random.randint(0, len(text))
        end, there = min(len(text), at + random.choice((0, 1, 2, 5, 20))), random.randint(0, len(text))
        piece = random.choice((
            "", made(random, "«token»"), made(random, "«token»"), text[at:end] * random.choice((2, 3, 10)),
            chr(random.choice((random.randrange(128), random.randrange(0x110000)))), text[there : there + 20],
        ))  # fmt: skip
        text = text[:at] + piece + text[end:]
    return text


def _deep(random: Random) -> str:
    """Something within itself, or one after the other, often."""
    before, _, after = random.choice(RULES["deep"]).partition("«expr»")
    times = random.choice((5, 20, 39, 41, 59, 61, 100, 300, 2_000))
    return made(random, f"s1 = f()\ns2 = f(x={before * times}«leaf»{after * times})")


def _long(random: Random) -> str:
    """A long text: a shape, or a piece of the grammar again and again."""
    size = random.choice((LONGEST, _size(random, LONGEST)))
    if random.random() < 0.5:
        return shaped(random.choice(SHAPES), size)
    rules = ("token", "odd piece", "prose", "expr", "call", "odd statement")
    piece = "".join(
        made(random, f"«{random.choice(rules)}»", depth=1) for _ in range(random.choice((1, 1, 2)))
    )
    before, after = (made(random, "s2 = «call»")[: random.randint(0, 40)] for _ in range(2))
    return (before + (piece or " ") * (size // max(1, len(piece))))[: LONGEST - len(after)] + after


def _size(random: Random, most: int) -> int:
    """A number up to ``most``; each order of magnitude is as likely."""
    return int(10 ** random.uniform(0, len(str(most)) - 1))


def json_input(random: Random) -> str:
    """A text that is read as the arguments of a native tool call."""
    roll = random.random()
    if roll < 0.01:
        piece = random.choice(
            ('{"a":', "[", '"a",', "9", "\\ud800", '{"a":1},', "-", " ", '"a":1,', "1e", "null,", '"{n}":1,')
        )
        return shaped(
            random.choice(("", '{"a":', "{", "[", '"', '{"x":"')) + f"«{piece}»", _size(random, LONGEST * 10)
        )[:LONGEST]
    if roll < 0.1:
        return "".join(made(random, "«token»") for _ in range(random.randint(0, 20)))
    text = made(random, "{«json pair*, »}")
    return _mutated(random, text) if random.random() < 0.3 else text


def changed_json(random: Random, data: Any, times: int) -> Any:
    """A JSON value with a few of its parts replaced, left out, doubled or moved."""
    data = json.loads(json.dumps(data))
    for _ in range(times):
        parts: list[tuple[Any, Any]] = []
        ahead = [data]
        while ahead:
            one = ahead.pop()
            keys: Any = one if isinstance(one, dict) else range(len(one))
            parts += [(one, key) for key in keys]
            ahead += [one[key] for key in keys if isinstance(one[key], dict | list)]
        if not parts:
            break
        (holder, key), (other, there) = random.choice(parts), random.choice(parts)
        match random.randint(0, 4):
            case 0:
                del holder[key]
            case 1:
                holder[key] = json.loads(json.dumps(other[there]))
            case 2 if isinstance(holder, list):
                holder += holder[key : key + 1] * random.choice((1, 2, 50))
            case 2:
                holder[made(random, "«odd piece»")] = holder[key]
            case _:
                leaf = made(random, "«odd piece»") if random.random() < 0.3 else random.choice(_LEAVES)
                holder[key] = json.loads(json.dumps(leaf))
    return data


_LEAVES: tuple[Any, ...] = (
    *(0, 1, -1, 2, 10**6, 10**30, 2**63, 0.5, -0.0, 1e300, 5e-324, 1e999, -1e999, True, None, float("nan"), "s1", "s4"),
    *([], {}, [[]], {"a": {}}, [None], ["s1", "s1"], [3] * 9),
    *("completed", "failed", "compute", "inout", "answered", "retry"),
)  # fmt: skip
