"""The forms of the marks that models write around their reply: of thoughts, ends and turns.

Decides what a mark could be by itself. It must not know what came before it.
"""

from __future__ import annotations

import re

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
    r"assistantfinal",  # what is left of harmony's tokens where they were not shown
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
_FRAME = (
    r"<s>|<bos>",
    r"<[|\uff5c][\w▁/-]{1,40}[|\uff5c]>",
)
_FENCE = (r"(?:`{3,}|~{3,})[ \t]*(?P<language>[\w+#.:-]{0,40})",)
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
            ("fence", _FENCE),
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
LABEL = re.compile(rf"[ \t]*\[(?!{_CAPITALS}|THINK)[A-Z][A-Z _]{{1,20}}\]")
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
