"""Whether an answer in a model's own words says what is right.

Decides what an answer states: yes or no, a number, one of several names, or a phrase.
An answer that leaves open which of them it means states nothing, and so isn't right: a
benchmark had better count too few right answers than too many. It must not know of any
question set.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.questions import wordings
from examples.tools.words import ARTICLES, bare, words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MARGIN = 0.1
"""How far a number may be off, as a share of the right one: LLMCompiler's evaluation has the same."""

_WEAK, _FIRSTS, _LASTS, _MORE, _LESS, _ORDINARY, _DENYING = (
    frozenset(spelled.split()) for spelled in wordings("answers").values()
)
_OPPOSITES = ((_FIRSTS, _LASTS), (_MORE, _LESS))
_COUNTED = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "m": 1e6, "b": 1e9, "bn": 1e9}
_SINGULAR = {"genera": "genus", "people": "person", "women": "woman", "men": "man"}

_NUMBER = re.compile(
    r"(?<![\w.^])(?P<number>-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?)(?![\d^])"
    r"(?P<after>(?-i:M|B|bn)\b|\s*(?:%|percent\b|(?:thousand|million|billion|trillion)\b)?)",
    re.IGNORECASE,
)
# One plain space may as well stand between two numbers.
_SPACED = re.compile(
    r"(?<![\w.,])\d{1,3}(?:(?: \d{3}){2,}|(?:[\u00a0\u2009\u202f]\d{3})+)(?![\w\u00a0\u2009\u202f]|,\d)"
)
_POWER = re.compile(r"(?<=\d)\s*(?:[\u00d7\u00b7x*]|\\times)\s*10\s*\^\s*\{?([+-]?\d{1,3})\b\}?")
_STANCE = (
    r"(?P<stance>yes|true|false"
    r"|no(?=\W*$|[^\w\s]|\s+(?:they|it|he|she|the|neither|only|not|because|since)\b))"
)
_CONCLUDING = (
    r"(?:\b(?:therefore|thus|hence|in conclusion|answer(?: to [^.!?\n]*?)?(?: is| was)?)\b"
    r"|(?:^|[,;.:]\s*|\band )so\b)"
)
_CLAUSES = r"[.!?;\n]|,? \b(?:while|whereas|but|although|though|however)\b"
_FIRST, _OTHER = 0xE000, "\uf8ff"  # in Unicode's private use area, so no text has them
_SIGN = f"[{chr(_FIRST)}-{_OTHER}]"


def plain(answer: Any) -> str:
    """An answer as text without Markdown's emphasis: ``True`` is yes, ``None`` nothing."""
    if answer is None:
        return ""
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return re.sub(r"[*_`#]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}", "", str(answer)).replace("\u2212", "-").strip()


def says(answer: Any) -> bool | None:
    """What an answer to a yes-or-no question says; ``None`` if it doesn't begin or conclude by either."""
    text = plain(answer).lower()
    if re.search(r"\byes\s*(?:and|or|/)\s*no\b", text):
        return None
    said = {
        match["stance"] in ("yes", "true")
        for match in (
            re.match(rf"\W*(?:(?:the )?(?:final |short )?answer(?: is)?\b\W*)?{_STANCE}\b", text),
            *re.finditer(rf"{_CONCLUDING}[^\w.!?\n]*{_STANCE}\b", text),
            re.search(rf"(?:^|[.!?\n])\W*{_STANCE}\W*$", text),
        )
        if match
    }
    return said.pop() if len(said) == 1 else None


def number_in(answer: Any) -> tuple[float, float] | None:
    """The number that an answer states, as written and with its scale (million); ``None`` without one.

    It is the last one; but the first, if the answer begins with it and goes on in words.
    Percentages and the 1 of "3.5 to 1" are passed over where there is another number.
    """
    text = re.sub(r"\bto \d+ (?=decimal|significant)", "", plain(answer))
    text = re.sub(r"(?<=\d)(?:\s*:\s*|\s+to\s+)1(?!\.?\d)", "", text)
    text = _POWER.sub(r"e\1", _SPACED.sub(lambda spaced: re.sub(r"\s", "", spaced.group()), text))
    found = [match for match in _NUMBER.finditer(text) if match["after"].strip() not in ("%", "percent")]
    found = found or list(_NUMBER.finditer(text))
    if not found:
        counted = [float(_COUNTED.index(word)) for word in words(text) if word in _COUNTED]
        return (counted[-1], counted[-1]) if counted else None
    first = found[0]
    begins = (
        first.start() == 0
        and "=" not in text
        and not re.match(r"\s*[-+*/\u00d7\u00f7\u2013]", text[first.end() :])
    )
    stated = first if begins else found[-1]
    value = float(stated["number"].replace(",", ""))
    return value, value * _SCALES.get(stated["after"].strip().lower(), 1)


def near(answer: Any, right: float, *, margin: float = MARGIN) -> bool:
    """Whether the number that an answer states is the right one, give or take the margin."""
    stated = number_in(answer)
    return stated is not None and any(abs(value - right) <= margin * abs(right) for value in stated)


def contains(answer: Any, label: str, *, asked: str = "") -> bool:
    """Whether a phrase is in the answer: each of its words that says something, in any order.

    What the question says already needn't be repeated: to "both part of which mountain
    range?" the answer "the Karakoram" contains "Karakoram mountain range".
    """
    said = [_singular(word) for word in words(plain(answer))]
    wanted = [_singular(word) for word in words(label)]
    needed = {word for word in wanted if word not in _WEAK}
    needed = needed - {_singular(word) for word in words(asked)} or needed or set(wanted)
    if not needed or not needed <= set(said):
        return False
    first = min(said.index(word) for word in needed)
    before = " ".join(said[max(0, first - 4) : first])
    before = re.split(r"\bbut\b", before)[-1]  # "not this but that" denies this alone
    return not (_DENYING | {"neither"}) & set(before.split())


def chosen(
    answer: Any,
    names: Sequence[Collection[str]],
    *,
    asked: str,
    others: Collection[str] = (),
    shortened: bool = False,
) -> int | None:
    """Which of several names an answer chooses, by its index; ``None`` if that isn't clear.

    Each name is given in all its forms; ``others`` are longer names that may contain one.
    With ``shortened`` the first or the last word, with a capital, stands for a name.

    An answer that names only one of them chooses it, unless it denies it or says the
    opposite of what was asked. One that names several chooses

    * the one named after its last "so", "therefore" or "the answer is", or at the end of "... is X",
    * else the one it begins with, alone: "X. Y was founded later",
    * else the only one of which it says what was asked: for "which was founded first?" that
      it was first, earlier, before or older.

    Where two of these disagree nothing is chosen.
    """
    text = plain(answer)
    alone = words(text)
    fitting = [index for index, forms in enumerate(names) if any(_part(alone, words(form)) for form in forms)]
    exact = [index for index in fitting if any(alone == words(form) for form in names[index])]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    marked = _marked(text, names, others, shortened=shortened).lower()
    mentioned = {ord(sign) - _FIRST for sign in _signs(marked)}
    if not mentioned or re.search(r"can ?not|can't|unable to|not (?:possible|enough|clear)|unclear", marked):
        return None
    # Unless the question itself is what is not so.
    asserted = _unnamed(_COMPARED, marked if _DENYING & set(words(asked)) else _unnamed(_DENIED, marked))
    verdicts = _concluded(asserted, asked) | _begun(asserted)
    for divided in (_CLAUSES, rf"{_CLAUSES}|,"):
        if verdicts:
            break
        claims = {sign: _claim(re.split(divided, asserted), sign, asked) for sign in _signs(asserted)}
        best = 0 if len(mentioned) == 1 else max([1, *claims.values()])
        verdicts = {sign for sign, claim in claims.items() if claim >= best}
    return ord(verdicts.pop()) - _FIRST if len(verdicts) == 1 else None


def _singular(word: str) -> str:
    if word in _COUNTED:
        return str(_COUNTED.index(word))
    if word in _SINGULAR:
        return _SINGULAR[word]
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word


def _part(some: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether an answer of a few words is a run of a name's words, such as a surname."""
    if not some or (len(some) == 1 and len(some[0]) < 3 and len(whole) > 1):
        return False
    return any(list(whole[start : start + len(some)]) == list(some) for start in range(len(whole)))


def _marked(text: str, names: Sequence[Collection[str]], others: Collection[str], *, shortened: bool) -> str:
    """The text with one sign for each name in it, so that a name's own punctuation divides nothing."""
    spelled = bare(text)
    tokens = [match for match in re.finditer(r"\w+", spelled) if match.group().casefold() not in ARTICLES]
    forms = {tuple(words(other)): _OTHER for other in others}
    for index, variants in enumerate(names):
        forms |= {tuple(words(form)): chr(_FIRST + index) for form in variants}
    short = _shortened(names) if shortened else {}
    longest = max((len(form) for form in forms), default=0)
    parts, done, position = [], 0, 0
    while position < len(tokens):
        for size in range(longest, 0, -1):
            run = tokens[position : position + size]
            form = tuple(token.group().casefold() for token in run)
            sign = forms.get(form) if len(form) == size else None
            if sign is None and size == 1 and run[0].group()[0].isupper():
                sign = short.get(form[0])
            if sign is not None:
                parts += [spelled[done : run[0].start()], sign]
                done = run[-1].end()
                done += bool(re.match(r"\.(?=\.|,|\s+[a-z])", spelled[done:]))  # "Inc." ends no sentence
                position += size - 1
                break
        position += 1
    return "".join([*parts, spelled[done:]])


def _shortened(names: Sequence[Collection[str]]) -> dict[str, str]:
    """First and last words that only one of the names has, and its sign."""
    owners: dict[str, set[int]] = {}
    edges: set[str] = set()
    for index, variants in enumerate(names):
        for spelled in map(words, variants):
            edges |= {*spelled[:1], *spelled[-1:]}
            for word in spelled:
                owners.setdefault(word, set()).add(index)
    return {
        word: chr(_FIRST + min(owners[word]))
        for word in edges
        if len(owners[word]) == 1 and len(word) > 3 and word not in _ORDINARY
    }


def _signs(marked: str) -> list[str]:
    return [sign for sign in marked if _FIRST <= ord(sign) < ord(_OTHER)]


def _listed(name: str) -> str:
    return rf"{name}(?:(?:,| and| or|, and|, or) (?:the )?{name})*"


_DENIED = (
    _listed(rf"{_SIGN}(?: \([^)]*\))?")
    + r" (?:\w+ly )?(?:(?:is|was|are|were|do|does|did|has|had)(?: \w+ly)? not"
    r"|isnt|wasnt|arent|werent|dont|doesnt|didnt|hasnt|hadnt)\b(?! (?:only|just|merely)\b)"
)
"""Names that something is denied of, "X was not first"."""
_COMPARED = (
    r"(?:\b(?:than|unlike|compared (?:to|with)|versus|vs)(?: \w+){0,4}?"
    rf"|\b(?:not|isnt|wasnt|nor|neither|before|after|over|by)(?: the| that of)?) {_listed(_SIGN)}"
)
"""Names that something is only compared with, or that are denied."""


def _unnamed(pattern: str, marked: str) -> str:
    """Names in what fits become no name."""
    return re.sub(pattern, lambda found: re.sub(_SIGN, _OTHER, found.group()), marked)


def _concluded(asserted: str, asked: str) -> set[str]:
    """The name after the last concluding word, if any names one."""
    ends = [found.end() for found in re.finditer(_CONCLUDING, asserted)]
    for end in reversed(ends):
        signs = _signs(re.split(r"[.!?\n]", asserted[end:], maxsplit=1)[0])
        if signs:
            return {signs[0]}
    last = re.split(r"(?<=[.!?])\s+|\n+", asserted.strip())[-1]
    found = re.search(rf"(?:\b(?:is|was|be|would be)|:)\W+(?:the )?([{chr(_FIRST)}-\uf8fe])\W*$", last)
    found = found or re.search(rf"\bnot (?:the )?{_OTHER},? but (?:the )?([{chr(_FIRST)}-\uf8fe])", last)
    return {found[1]} if found and _sense(last, asked) >= 0 else set()


def _begun(asserted: str) -> set[str]:
    """The name that the answer begins with, if nothing else is in that sentence but a reason."""
    sentence = re.split(r"[.!?;\n]|\b(?:because|since)\b", asserted.strip(" \"'([-"), maxsplit=1)[0]
    signs = set(_signs(sentence))
    denied = rf"\([^)]*\)|\b(?:and )?not (?:the )?{_OTHER}"
    said = r"\b(?:the|it|is|was|answer|correct|final|movie|option|film|one)\b|\W"
    rest = re.sub(rf"{denied}|{said}", "", sentence)
    return signs if len(signs) == 1 and set(rest) <= signs else set()


def _claim(clauses: Sequence[str], sign: str, asked: str) -> int:
    """How much of what was asked the clauses say of one name; below 0 if the opposite."""
    own = [clause for clause in clauses if set(_signs(clause)) == {sign}]
    senses = [_sense(clause, asked) for clause in own]
    if _ways(asked):
        return max(senses, default=0) if max(senses, default=0) > 0 else min(senses, default=0)
    content = {_singular(word) for word in words(asked) if word not in _WEAK}
    return max((len(content & {_singular(word) for word in words(clause)}) for clause in own), default=0)


def _sense(clause: str, asked: str) -> int:
    """1 if a clause says first where first was asked, -1 if it says last, 0 if neither or both."""
    said = set(re.findall(r"\w+", clause))
    ways = _ways(asked)
    with_it = any(said & way for way, _ in ways)
    against = any(said & other for _, other in ways)
    return with_it - against


def _ways(asked: str) -> list[tuple[frozenset[str], frozenset[str]]]:
    """What the question proper (from its last "which") asks to be: first, largest, fewest."""
    said = set(words(re.split(r"\b(?=(?:which|who|what|whose)\b)", asked.lower())[-1]))
    found = []
    for one, other in _OPPOSITES:
        if bool(said & one) != bool(said & other):
            found.append((one, other) if said & one else (other, one))
    known = frozenset().union(*(one | other for one, other in _OPPOSITES))
    rare = frozenset(word for word in said - known if len(word) > 5 and word.endswith("est"))
    return [*found, (rare, frozenset())] if rare else found
