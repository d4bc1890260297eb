"""Texts that are hard on whoever reads them: each has one piece, in «», that is repeated to any length.

A reader that looks back, or ahead, from each piece takes four times as long for twice the text. In a piece ``{n}``
is its number, and ``{m}`` that of the one before.
"""

from __future__ import annotations

_S1 = "s1 = f(x=1)\n"


def alternatives(text: str) -> list[str]:
    """Texts that stand side by side, with ¦ between them."""
    return text.split(" ¦ ")


_STATEMENTS = alternatives(
    "«s{n} = f(x={n}, y='a')\n» ¦ s1 = f(x=1)\n«s{n}x = f(x=s1, y='{s1} of {n}')\n» ¦ «s{n}: f(x={n})\n»"
    ' ¦ «{n}. f(${m})\n» ¦ «{n}. f("$1 and ${m} for $5")\n» ¦ «page{n} = f(x="{text}")\n»'
    ' ¦ «a{n}b{n} = f(x="{c{n}d{n}}")\n» ¦ «s{n} = f(x={n}); » ¦ s1 = f(x=[\n«1,\n»])'
    " ¦ s1 = f(x='''\n«some words\n»''') ¦ s1 = f(x=1 \\\n«+ 1 \\\n») ¦ s1 = f(«a{n}=1, ») ¦ s1 = f(«1, »)"
    " ¦ s1 = f(«a=1, ») ¦ s1 = f('é', «a{n}='é', ») ¦ s1 = f('é', \n«a{n}='é',\n»)"
    " ¦ «s{n} = f(x=1)\n»z = f(x=nobody) ¦ «s{n} = f(x=1)\n»s1 = f(x=1) ¦ s1 = f(« »x=1) ¦ s1 = f(x=1)« »"
    " ¦ s1 = f(x=1)\n«\r» ¦ s1 = f(x=1)\n«\x07» ¦ «a» = f(x=1) ¦ s1 = «await »f(x=1) ¦ «s{n} = »f(x=1)"
    " ¦ s1 = f(«*a, ») ¦ s1: «list[» ¦ s1 = f(x=1) -> «-> » ¦ s2 =«print(s1) » ¦ «-»s1 = f()"
    " ¦ s1 = f(x=1) #«é» ¦ s1 = f(«x=» ¦ s1 = f«(» ¦ 1. «f(» ¦ «lambda: »"
)
_ARGUMENTS = alternatives(
    "1« + 1» ¦ «(1) * »1 ¦ «-»1 ¦ «-(»-0 ¦ -«- »0 ¦ «not »1 ¦ 1«**1» ¦ 1« < 1» ¦ 1« and 1» ¦ 1« and 1 or 1»"
    " ¦ «[» ¦ «[]» ¦ 1«)» ¦ «(» ¦ «{» ¦ «{1: » ¦ [«1, »] ¦ [«'a', »] ¦ [«s1, »] ¦ [«'{s1} a', »]"
    " ¦ {«{n}: 1, »} ¦ {«1: 1, »} ¦ {«s1: s1, »} ¦ s1«.a» ¦ s1«[0]» ¦ s1«[s1» ¦ [«len(s1), »] ¦ «len(»s1"
    " ¦ «'a' » ¦ «f'{s1}' » ¦ 1« if 1 else 1» ¦ «lambda: »1 ¦ [1«for x in s1 »] ¦ «9» ¦ -«9» ¦ 0x«f»"
    " ¦ 0o«7» ¦ 0b«1» ¦ 1«_1» ¦ 0.«3» ¦ 1e«9» ¦ «0» ¦ «9»j ¦ «9».0 ¦ «1.» ¦ «a» ¦ «é» ¦ «😀» ¦ b'«a»' ¦ «\"»"
    " ¦ «'\"» ¦ '«a» ¦ '''«'' » ¦ \"\"\"«a\n» ¦ «\\\n» ¦ «#\n» ¦ «~»1 ¦ «*»s1 ¦ «...» ¦ «:=» ¦ «s1 in »s1"
    " ¦ 2«**-1» ¦ [0«]*9 + [0»] ¦ f'«{f\"»' ¦ f'«{s1} »' ¦ f'«{name} »' ¦ f'{s1«.a»}' ¦ f'{a«.a»}'"
    " ¦ f'{s1«[0]»}' ¦ f'«{{»' ¦ f'{«{»' ¦ f'{s1:«{s1}»}' ¦ t'«{s1}»'"
)
_STRINGS = alternatives(
    "«\\x41» ¦ «\\\\» ¦ «\\d» ¦ «\\ud800» ¦ «\\N{DASH}» ¦ «\\777» ¦ «\\0» ¦ «{s1} » ¦ «{s1.a[0]} »"
    " ¦ «{name} » ¦ «{n{n}x} » ¦ «{t{n}} » ¦ {s1«.a»} ¦ {s1«[0]»} ¦ {s1«['a']»} ¦ {s1«[»} ¦ {s1[«-»1]}"
    " ¦ {s1«(»} ¦ «{» ¦ «}» ¦ «{{}}» ¦ «{s1 » ¦ «{s9 » ¦ «{a» ¦ «{a.» ¦ { a «s1} » ¦ {{« s1 }{»"
    " ¦ {{{{{{{{{«s1}» ¦ {«a» ¦ {s1« »} ¦ {« »s1 ¦ s9« » ¦ «s9         » ¦ «{s1, s1} » ¦ «{s9, s9} »"
    " ¦ «$1 » ¦ «${» ¦ «${1}» ¦ «%s» ¦ «{query}» ¦ «<think>» ¦ «</think>» ¦ «s1.a.a.a}»"
    " ¦ «{s1:.2f}» ¦ «{s1!r}» ¦ «\ud800» ¦ «\U0010ffff» ¦ «\u2028» ¦ «a\u0301» ¦ «\0» ¦ «\t» ¦ «\r» ¦ «\x0c»"
)
_AROUND = alternatives(
    "«Here are some words about a plan. » ¦ «Here are some words.\n»"
    " ¦ «I would call f(x) and s1 = f(x=1) first. » ¦ «First, s{n} = f(x=1) is called for it.\n»"
    " ¦ «f(a b c) » ¦ «s{n} = the page about it\n» ¦ «f(a» ¦ «f(a: int) -> str\n» ¦ f(«a: int, ») -> str"
    " ¦ f(«a ») -> str ¦ «- »s1 = f(x=1) ¦ «1. »f(x=1) ¦ «> »s1 = f(x=1) ¦ «# Plan\n»"
    " ¦ «## Thoughts\nwords\n»## Plan ¦ «## Thoughts\ns1 = f(x=1)\n## Plan\n» ¦ «```python\n»"
    " ¦ «```python\ns{n} = f(x=1)\n```\n» ¦ «```python\ns1 = f(x=1)\n```\n» ¦ «``` » ¦ «`» ¦ «~»"
    " ¦ «`s1 = f(x=1)` » ¦ «<think>words</think>\n» ¦ «<think>» ¦ «<think>\n» ¦ «</think>»"
    " ¦ «s1 = f(x=1)\n</think>\n» ¦ «<a>» ¦ «<a{n}>\n» ¦ «<a{n}>\ns{n} = f(x=1)\n» ¦ «<note>words</note>\n»"
    " ¦ «<b{n}>» ¦ «</a>» ¦ «<» ¦ <think «a='b' »> ¦ <«a»> ¦ «&lt;» ¦ «<|im_start|>» ¦ «<|im_end|>»"
    ' ¦ «<|channel|>analysis<|message|>words<|end|>» ¦ «<|channel|>» ¦ «◁think▷» ¦ «<!-- » ¦ «"<think>" »'
    ' ¦ "«<think> » ¦ s2 = f(x="«<think>») ¦ s2 = f(x=1) # «<a» ¦ s2 = f(x=["«</think>", "»)'
    " ¦ s2 = f(x=\"</think>«\\» ¦ s2 = f(x=[</think>«'» ¦ «assistantfinal» ¦ «\nUser: words\n» ¦ «!?»"
    " ¦ «for x in y:\n» ¦ for x in «(»: ¦ if x=«-»1: ¦ else«:» ¦ «return s1\n»"
    " ¦ «>>> s{n} = f(x=1)\n... \n» ¦ «print(s1)\n» ¦ print(s1« + s1») ¦ «**» ¦ «. » ¦ «a1, » ¦ «a.» ¦ «a»"
    " ¦ «\u200b» ¦ «á» ¦ «\ud800» ¦ «\x00» ¦ «\x0c» ¦ «\u2028» ¦ «\t» ¦ «\r\n» ¦ «\n» ¦ «# s1 = f(x=1)\n»"
    " ¦ «😀» ¦ «\x1b[31m» ¦ «[THOUGHT]» ¦ «-->» ¦ «Thought: »"
)

SHAPES = (
    *_STATEMENTS,
    *(f"{_S1}s2 = f(x={shape})" for shape in _ARGUMENTS),
    *(f"{_S1}s2 = f(x='{shape}')" for shape in _STRINGS),
    *(f"{number}. f('{shape}')" for number, shape in enumerate(_STRINGS[:30:3], 1)),
    *(_S1 + shape for shape in _AROUND),
    *(f"{shape}\n{_S1}" for shape in _AROUND),
)


def shaped(shape: str, size: int) -> str:
    """A text of a shape, with about so many characters."""
    before, _, rest = shape.partition("«")
    piece, _, after = rest.rpartition("»")
    left = size - len(before) - len(after)
    if "{n}" not in piece and "{m}" not in piece:
        return before + piece * max(1, left // len(piece)) + after
    pieces, number = [before], 1
    while left > 0:
        pieces.append(piece.replace("{n}", str(number)).replace("{m}", str(number - 1)))
        left -= len(pieces[-1])
        number += 1
    return "".join([*pieces[:-1], after])
