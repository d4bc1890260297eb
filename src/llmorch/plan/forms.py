"""The forms of a reply's text: statements, labels and fences, and the marks of thoughts, ends and turns.

Decides what a line or a mark could be by itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmorch.plan.tree import statements

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANK = r"[ \t\u00a0\u3000\u200b\ufeff]"
_ID = r"[A-Za-z_]\w{0,63}"
_NAME = rf"{_ID}(?:\.{_ID}){{0,9}}"
_TYPE = r"(?:str|int|float|bool|list|dict|tuple|set|bytes|object|None|Any|List|Dict|Tuple|Set|Optional|Union)"
_LABELS = (
    r"(?!(?:Action|Answer|Call|Code|Final|Finally|First|Last|Next|Output|Plan|Solution|Step|Task|Then)\b)"
)
_THINKING = (
    r"(?!(?:thoughts?|thinking|reason(?:s|ing)?|reflections?|observations?|user|human|query|question|functions"
    r"|system|assistant)\b)"
)
"""Labels of what is no plan."""
BEGINS = re.compile(
    rf"""
    {_ID}[ \t]*:?=                                              # s1 = ...
    |{_ID}[ \t]*:[ \t]*{_TYPE}\b[\w\[\], .|]{{0,60}}=         # s1: str = ...
    |(?i:{_THINKING}){_LABELS}{_ID}[ \t]*:[ \t]*(?:await[ \t]+)?{_NAME}\(      # s1: search(
    |\d{{1,6}}[.:)][ \t]*[`*]{{0,3}}{_NAME}\((?!e?s\)[ \t]*[\w:])  # 1. search(
    |(?:await[ \t]+|return[ \t]+)?{_NAME}\((?!e?s\)[ \t]*[\w:])  # search(, but not "step(s):"
    |return[ \t]+{_ID}[\w.\[\]"']{{0,80}}[ \t]*;?[ \t]*(?:\#|$)
    |return[ \t]+f["']
    # What else was meant as one:
    |=[ \t]*{_NAME}\(
    |\([ \t]*{_ID}[ \t]*=[^=]
    |[A-Za-z]{{1,12}}\d{{1,6}}(?:
        [ \t]+{_NAME}\(
        |[ \t]*(?:->|<-|=>|[-→←⇒:=])[ \t]*(?:{_NAME}\(|\((?:\w+=|["']))
        |[ \t]*[,.\[:][^=\n`]{{0,40}}=
    )
    |s\d{{1,6}}[ \t]*[:.,]?[ \t]*$
    """,
    re.VERBOSE,
)
"""What a line begins with that is a statement of a plan, right or wrong."""
BLOCK = re.compile(r"(?:for[ \t]+\w+[ \t]+in|while|if|async|def|class|try|else)\b")
"""What a line of code begins with that would make calls depend on each other as a plan can't say it."""
CONDITION = re.compile(r"[=<>.(\[]|\bs\d")
SIGNATURE = re.compile(rf"(?:{_ID}[ \t]*:[ \t]*)?{_NAME}\((?P<parameters>[^()]*)\)[ \t]*->[ \t]*[\w\[]")
"""A function mentioned with what it returns, perhaps with its types: a call has none."""
TYPED = re.compile(r"\w[ \t]{0,9}:")
MENTION = re.compile(rf"{_NAME}\([^()\"'=\d{{}}\[\]]*\)[`*]{{0,3}}[ \t]*(?:[^\W\d_]|[:\uff1a\u2013\u2014-])")
"""A call of mere words, and what is said of it."""
MEANING = re.compile(rf"(?P<id>{_ID})[ \t]*=[ \t]*(?P<word>[^\W\d_]+)[ \t]+[^\W\d_][^=(\[{{\"]*$")
"""What an id stands for, in words."""
CODE = re.compile(r"=|\w\(")
ON_ITS_FENCE = re.compile(
    rf"[ \t]*(?:{_ID}[ \t]*[=:][ \t]*(?:await[ \t]+)?{_NAME}\(|\d{{1,6}}[.:)][ \t]*{_NAME}\(|{_NAME}\()"
)
"""A statement on the line of a fence, where an attribute may stand too."""
LABEL = re.compile(
    rf"""
    {_BLANK}+
    |>{{1,3}}
    |[-*+\u2013\u2014][ \t]+|[•‣·][ \t]*|(?!◁)[\u2190-\u2bff\U0001f300-\U0001faff]\ufe0f?[ \t]*
    |\(?\d{{1,3}}[.):][*]{{0,3}}[ \t]*|\d\ufe0f?\u20e3[ \t]*|\d{{1,4}}[ \t]*\|[ \t]*
    |\(?[a-zA-Z]\)[ \t]+|[ivxIVX]{{1,4}}[.)][ \t]+
    |\*{{1,3}}|__|`{{1,2}}(?!`)
    |\[[ xX✓]\][ \t]+
    |In[ ]?\[\d{{0,4}}\]:[ \t]*
    |</?[A-Za-z][\w:.-]{{0,40}}(?:\s[^<>]{{0,300}})?>|<!--|-->
    |(?i:{_THINKING}
        (?:[^\W\d_]{{1,20}}[ \t]?\#?\d{{1,3}}|step|call|action|task|plan|code|first|then|next|last|final(?:ly)?|answer
           |solution|output)
        [*_]{{0,3}}[ \t]*[.:\uff1a)\u2013-][*_]{{0,3}}[ \t]*)
    """,
    re.VERBOSE,
)
"""One of the bullets, numbers, quotation marks, tags and labels that may stand before a statement."""
FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*(?P<info>\{?\.?(?P<language>[\w+#.:/-]*)\}?)")
NO_PLAN = frozenset((
    "bash", "console", "csv", "html", "json", "jsonc", "jsonl", "log", "markdown", "md", "out", "output", "plaintext",
    "result", "results", "sh", "shell", "sql", "stderr", "stdin", "stdout", "text", "tool_output", "tool_response",
    "txt", "xml", "yaml", "yml", "zsh",
))  # fmt: skip
"""Languages of fences that hold something else, once there is a plan."""
AFTER = re.compile(
    r"""[ \t]*(?:
    (?P<tick>`)
    |(?P<bold>\*{1,3}|__)(?![\w(])
    |(?P<mark></?[A-Za-z][\w:.-]{0,40}(?:\s[^<>]{0,300})?/?>|[<\[◁a])
    |(?P<comment>\#)
    |(?:[\u2014\u2013→⇒]|->|=>|--|//)[ \t]*[^\W\d_]+,?[ \t]+[^\W\d_]
    |(?:[→⇒]|->|=>)[ \t]*(?![^\n]*\w\()[^\s=]                 # -> 3
    |(?<=[ \t])\([^\W\d_][^()=\"\[\]{}]*\)[.;]?[ \t]*$        # (adds them)
    |\.[ \t]*$
    )""",
    re.VERBOSE,
)
"""What may come after a statement, in its line."""
MENTIONED = re.compile(rf"(?<![\w.])(?P<id>{_ID})[ \t]*=[ \t]*(?:await[ \t]+)?(?P<name>{_ID})\(")
"""A call with an id, wherever it stands."""
QUOTED = re.compile(r"[ \t]*(?:>[ ]?){1,3}")
PROMPTED = re.compile(r"[ \t]*\.\.\.[ ]?")
SPACE = re.compile(rf"{_BLANK}*")
DECORATED = re.compile(r"[ \t]*\d+[.:)][ \t]*([`*]+)")
NUMBER_TICKED = re.compile(r"\d+[.:)][ \t]*[*]*`")
BARE = re.compile(r"s\d{1,6}[ \t]*[:.,]?[ \t]*$")
"""An id alone."""
RULE = re.compile(r"[-=*_`~.>#|\s]+|<!-+|[][{}(),\s]+")
"""A line, a heading's underline, brackets of what stands around, and the like."""
GARBAGE = re.compile(r"[\x00-/:-@\[-`{-\x7f]+")
"""A line without a letter, a digit or a sign of any script: no prose."""
CUT = re.compile(rf"(?:(?P<number>\d{{1,6}})[.:)]?|(?P<id>{_ID})[ \t]{{0,9}}:)?[ \t]{{0,9}}(?P<name>{_ID})?")
"""The beginning of a statement that was cut off."""

# Marks: what models write around their reply.

_STEM = (
    r"think|thought|reasoning|(?<![^\W_])reasons?(?![\w-])|rationale|reflect|scratch[_-]?pad|analysis|monologue|deliberat|brainstorm|ponder"
    r"|contemplat|ruminat|introspect|(?<![a-z])cot(?![a-z])"
)
_THOUGHT = (
    rf"(?=[\w.:-]{{0,40}}?(?:{_STEM}))(?![\w.:-]{{0,40}}?(?:(?<!ex)plan(?!n)|answer|final|solution|output|response))"
    r"[A-Za-z][\w.:-]{0,60}"
)
"""A name that says that what it names is a thought, and not that it is what came of one."""
_TOKEN = r"(?:think|thought|reason|reflect|analysis|deliberat|scratch_?pad|inner_|monologue|cot|chain[_▁]of)\w{0,30}"
_CAPITALS = r"(?:THOUGHTS?|REASONING|REFLECTION|RATIONALE|ANALYSIS|SCRATCHPAD)"
_LESS, _MORE = r"(?:<|&lt;)[ \t]{0,3}", r"[ \t]{0,3}(?:>|&gt;)"
_OPEN = (
    rf"{_LESS}{_THOUGHT}(?:\s[^<>]{{0,300}}|/)?{_MORE}",
    r"\[think(?:ing)?\]",
    rf"(?-i:\[{_CAPITALS}\])|\[(?:thoughts?|reasoning)\](?=[ \t]*$)",
    rf"◁{_TOKEN}▷",
    rf"<[|\uff5c](?:start[_▁]|begin[_▁]of[_▁]|begin[_▁])?{_TOKEN}[|\uff5c]>",
    r"<\|channel\|>\s?(?!final\b)\w{1,40}[^<>]{0,200}(?:<\|constrain\|>[^<>]{0,40})?<\|message\|>",
    r"<\|channel>thought\b",
    r"<unused94>(?:thought\b)?",
    r"<\|inner_prefix\|>",
)
_CLOSE = (
    rf"{_LESS}(?:/[ \t]{{0,3}}|end_(?:of_)?){_THOUGHT}\s{{0,20}}{_MORE}",
    r"\[/think(?:ing)?\]",
    rf"(?-i:\[/{_CAPITALS}\])|\[/(?:thoughts?|reasoning)\](?=[ \t]*$)",
    rf"◁/{_TOKEN}▷",
    rf"<[|\uff5c](?:/|end[_▁]of[_▁]|end[_▁]){_TOKEN}[|\uff5c]>|<[|\uff5c]{_TOKEN}(?<=_end)[|\uff5c]>",
    r"<\|channel\|>\s?final\b[^<>]{0,200}(?:<\|constrain\|>[^<>]{0,40})?<\|message\|>",
    r"<\|end\|>(?=<\|start\|>assistant)",
    r"assistantfinal",  # what is left of harmony's tokens where they were dropped
    r"<channel\|>",
    r"<unused95>",
    r"<\|inner_suffix\|>",
)
_END = (
    r"<[|\uff5c](?:im_end|eot_id|eom_id|eo[tsd]|end|return|call|end_?of_?\w{1,20}|end▁of▁\w{1,20}"
    r"|end_(?:response|action|text)|user|system|tool|tool_response|observation|stop)[|\uff5c]>",
    r"<\|(?:im_start|start)\|>(?!assistant)|<\|start_header_id\|>(?!assistant)|<start_of_turn>(?!model)",
    r"<(?:eo[ts]|end_?of_?\w{1,20}|turn\|)>",
    # These could be somebody's markup where more follows in their line.
    r"(?:</s>|<(?:end|stop)>|(?-i:\[(?:END(?:_OF_\w{1,20})?|EO[ST]|DONE|STOP|/?INST)\]))(?=[ \t\r]*(?:$|[\n<\[`]))",
)
_ASSISTANT = (
    r"<\|(?:im_start|start)\|>assistant",
    r"<\|start_header_id\|>assistant<\|end_header_id\|>",
    r"<start_of_turn>model",
    r"<[|\uff5c]assistant[|\uff5c]>",
)
_FRAME = (r"<s>|<bos>", r"<[|\uff5c][\w▁/-]{1,40}[|\uff5c]>")
_FENCED = (r"(?:`{3,}|~{3,})[ \t]*(?P<language>[\w+#.:-]{0,40})",)
_TAG = (
    rf"{_LESS}(?P<slash>/?)[ \t]{{0,3}}(?P<name>[A-Za-z][\w.:-]{{0,60}})(?:\s[^<>]{{0,300}})?(?P<empty>/?){_MORE}",
    r"(?P<comment><!--|-->)",
)
"""A tag of any other name."""
MARK = re.compile(
    "|".join(
        f"(?P<{kind}>{'|'.join(forms)})"
        for kind, forms in (
            ("close", _CLOSE),
            ("open", _OPEN),
            ("end", _END),
            ("assistant", _ASSISTANT),
            ("frame", _FRAME),
            ("fence", _FENCED),
            ("tag", _TAG),
        )
    ),
    re.IGNORECASE,
)
MAYBE = re.compile(r"[<\[◁]|&lt;|-->|`{3,}|~{3,}|assistantfinal")
"""What every mark begins with."""
NAMES_A_THOUGHT = re.compile(_THOUGHT, re.IGNORECASE)

_FAMILY = re.compile(r"chain|inner|" + _STEM)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_PLAIN = frozenset((
    "action", "actions", "answer", "artifact", "assistant", "blockquote", "body", "call", "calls", "code", "command",
    "commands", "completion", "content", "div", "do", "document", "execute", "execution", "final", "function",
    "functions", "html", "invoke", "li", "main", "message", "ol", "output", "p", "plan", "pre", "program", "python",
    "query", "reply", "response", "result", "results", "root", "run", "script", "section", "sequence", "solution",
    "span", "steps", "step", "task", "tasks", "td", "text", "tool", "tools", "tr", "ul", "use", "workflow", "xml",
    "dag", "flow", "functioncall", "graph", "item", "line", "list", "pipeline", "schedule", "toolcall",
    "b", "br", "em", "hr", "i", "img", "strong", "u",
))  # fmt: skip
"""Words in the names of tags that stand around a plan or an answer, or parts of one."""

_HEAD = r"[ \t>]{0,20}(?:\#{1,6}[ \t]{1,9})?[*_\[]{0,4}(?:(?:step[ ])?\d{1,2}[.:)][ ]?)?"
_TAIL = r"[ \t]{0,9}[*_\]]{0,4}(?:(?<=\])|[ \t]{0,9}(?:[:\uff1a][*_]{0,4}|$))"
THINKING = re.compile(
    rf"{_HEAD}(?:\w{{1,20}}[ -]){{0,3}}"
    rf"(?:thoughts?|think(?:ing)?|reasoning|reflections?|analysis|rationale|scratchpad|brainstorm(?:ing)?|drafts?)"
    rf"(?:[ ]process)?(?:{_TAIL}|[.\u2026]{{1,3}}$)",
    re.IGNORECASE,
)
"""A heading, or a line's label, of thoughts."""
PLAN = re.compile(
    rf"{_HEAD}(?:(?:so|the|my|final|actual|revised|resulting|full)[ ]){{0,3}}(?:(?P<answer>answer{_TAIL}"
    rf"(?=[ \t]*$|.*\w\())|(?:plan|(?:function[ ]|tool[ ])?calls?|solution){_TAIL})",
    re.IGNORECASE,
)
"""A heading of what came of them; an answer in words is none."""
BRACKETED = re.compile(rf"[ \t]*\[(?!{_CAPITALS}|THINK)[A-Z][A-Z _]{{1,20}}\]")
"""What ends a thought that a label in brackets began."""
_ASKS = (
    r"(?:user|human|(?:(?:user|next|new|another|second)[ ])?(?:query|question|q)|functions)(?:[ ]?\d{1,3})?"
)
_OTHER = rf"(?:(?P<asks>{_ASKS})|system|assistant|observations?|instructions?|example[ ]?\d{{1,3}})"
ANOTHER_TURN = re.compile(
    rf"(?:>{{1,3}}[ \t]?)?(?P<comment>\#[ \t]*)?(?:(?:\#{{2,6}}[ \t]*)?[*_\[]{{0,4}}{_OTHER}{_TAIL}|<{_ASKS}>)",
    re.IGNORECASE,
)
"""What a text begins another turn with, which a model runs on into; in a comment it could be one."""


def labels(line: str) -> Iterator[int]:
    """Where a line may begin: at its first character, and after each bullet or label."""
    at = 0
    yield at
    while label := LABEL.match(line, at):
        at = label.end()
        yield at


def beginning(line: str) -> int | None:
    """Where in a line a statement begins, after bullets and labels; ``None`` if none does."""
    return next((at for at in labels(line) if BEGINS.match(line, at)), None)


def fence_at_end(line: str, start: int, end: int) -> re.Match[str] | None:
    """The fence that the text between two positions of a line ends with."""
    for mark in ("```", "~~~"):
        at = line.rfind(mark, start, end)
        fence = FENCE.match(line, len(line[:at].rstrip(mark[0]))) if at >= 0 else None
        if fence and not line[fence.end() : end].strip():
            return fence
    return None


def is_garbage(text: str) -> bool:
    """Whether nobody would say this, so that a reply is broken where it stands."""
    text = text.strip(" \t\r")
    return bool(GARBAGE.fullmatch(text)) and not RULE.fullmatch(text)


def is_block(text: str) -> bool:
    """Whether Python would read a line, which begins like one, as the head of a block."""
    head = text.split("#", maxsplit=1)[0].strip()
    if not head.endswith(":") or (head.startswith("if") and not CONDITION.search(head)):
        return False
    try:
        statements(f"if 1: pass\n{head} pass" if head.startswith("else") else f"{head} pass")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return head.startswith(("try", "async"))
    return True


def is_plain(name: str) -> bool:
    """Whether a tag of this name may stand around a plan, or be a part of its text."""
    return not _PLAIN.isdisjoint(word.lower() for word in _WORD.findall(name)) or len(name) == 1


def family(text: str) -> str:
    """What an opening and a closing mark of thoughts have in common."""
    if "channel" in text or text.startswith(("assistantfinal", "<|end|>")):
        return "channel"
    if "unused" in text:
        return "unused"
    found = _FAMILY.search(text)
    kind = "think" if found is None or found.group() == "thought" else found.group()
    return f"[{kind}" if text.startswith("[") else kind


def unpaired(text: str) -> frozenset[str]:
    """The names of tags that are never closed in a text."""
    opened: set[str] = set()
    closed: set[str] = set()
    for found in MARK.finditer(text):
        if found.lastgroup == "tag":
            name, closes = tag(found)
            (closed if closes else opened).add(name)
    return frozenset(opened - closed)


def tag(found: re.Match[str]) -> tuple[str, bool]:
    """The name of a tag, and whether it is the closing one."""
    if found["comment"]:
        return "<!--", found["comment"] == "-->"
    return f"<{found['name'].lower()}", bool(found["slash"])
