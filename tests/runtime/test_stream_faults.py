"""Faults while a plan streams: nothing hangs, nothing runs twice, and what finished is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from llmorch import LLMOrchError, ModelError, Orchestrator, PlanError, UnresolvedQuery, function
from llmorch.errors import ReplyBroken
from llmorch.models.model import Message, ModelRequest
from llmorch.models.openai import OpenAIModel
from llmorch.plan import parse
from llmorch.testing import ScriptedModel
from tests.models.loopback import Answer, Loopback, event, reply, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

VIRTUAL = True
pytestmark = pytest.mark.anyio

ONE = 's1 = fetch(name="a")\n'
SLOW = 's2 = fetch(name="b", seconds=30)\n'
THIRD = 's3 = fetch(name="c")\n'
RIGHT = f'{ONE}s2 = fetch(name="d")\n{THIRD}s4 = join(parts=[s1, s2, s3])\n'
MUTE = 'data: {"id": "1", "choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}'


class Recorded:
    """Functions, and which of their calls ran and were cancelled."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.cancelled: list[str] = []
        self.slow = asyncio.Event()
        """Whether a call that takes long has begun."""

        @function(pure=True)
        async def fetch(name: str, seconds: float = 0.0) -> str:
            self.ran[name] += 1
            if seconds:
                self.slow.set()
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            return f"<{name}>"

        @function(pure=True)
        async def join(parts: list[str]) -> str:
            self.ran["join"] += 1
            return "".join(parts)

        self.functions = [fetch, join]

    async def run(self, model: Any, **options: Any) -> Any:
        """One run, which must end; its result, or the error that it raised."""
        async with (
            asyncio.timeout(10),
            Orchestrator(self.functions, model=model, processors=1, **options) as orchestrator,
        ):
            try:
                return await orchestrator.run("what?")
            except LLMOrchError as error:
                return error


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving() as endpoint:
        yield endpoint


def behind(endpoint: Loopback, *answers: Answer, timeout: float = 5.0) -> OpenAIModel:
    """A model whose replies are ``answers``, the last one for ever."""
    endpoint.answer = lambda _: answers[min(len(endpoint.asked), len(answers)) - 1]
    return OpenAIModel("m", endpoint.url, retries=0, timeout=timeout)


def statuses(error: LLMOrchError) -> dict[str, tuple[str, Any]]:
    return {call.id: (call.status, call.result) for call in error.result.calls}


WHOLE = [event(ONE), event(SLOW)]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(lines=WHOLE), "the reply broke off; try again"),
        (Answer(lines=[*WHOLE, event("s3 = jo")], then="reset"), "the reply broke off"),
        (Answer(lines=WHOLE, promised=9_999), "the reply broke off (peer closed connection"),
        (Answer(lines=WHOLE, then="silence"), "the reply broke off (nothing more in 0.3 s)"),
        (Answer(lines=[*WHOLE, ": alive"], endless=True), "the reply broke off (nothing more in 0.3 s)"),
        (Answer(lines=[*WHOLE, event("")], endless=True), "the reply broke off (nothing more in 0.3 s)"),
        (Answer(lines=[*WHOLE, "data: \udcff\udcfe"]), "the reply can't be read ('utf-8' codec"),
        (Answer(lines=[*WHOLE, event("x").replace("x", "\udcff")]), "the reply can't be read ('utf-8' codec"),
        (Answer(lines=[*WHOLE, "data: {}{"]), "the reply can't be read"),
    ],
    ids=[
        "end",
        "reset",
        "too short",
        "silence",
        "comments",
        "empty chunks",
        "bytes",
        "bytes in JSON",
        "JSON",
    ],
)
async def test_a_stream_that_breaks_ends_the_run_and_keeps_what_finished(
    recorded: Recorded, endpoint: Loopback, answer: Answer, says: str
) -> None:
    answer.pace = 0.03
    error = await recorded.run(behind(endpoint, answer, timeout=0.3))
    assert isinstance(error, ModelError)
    assert str(error).startswith(f"openai:m: {says}")
    assert "\n" not in str(error)
    assert len(endpoint.asked) == (
        3 if isinstance(error, ReplyBroken) else 1
    )  # what broke off is asked again
    assert statuses(error) == {"s1": ("completed", "<a>"), "s2": ("cancelled", None)}
    assert error.result.error == str(error)
    assert error.__notes__ == ["completed: s1; cancelled: s2"]
    assert (recorded.ran, recorded.cancelled) == ({"a": 1, "b": 1}, ["b"])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(late=True, then="silence"), "openai:m: no answer from "),
        (Answer(then="silence"), "openai:m: the reply broke off (nothing more in 0.3 s); try again or allow"),
        (Answer(then="reset", late=True), "openai:m: can't reach "),
        (Answer(), "openai:m: no reply in what arrived"),
    ],
    ids=["no headers", "no bytes", "reset", "nothing"],
)
async def test_a_model_that_says_nothing_at_all_ends_the_run(
    recorded: Recorded, endpoint: Loopback, answer: Answer, says: str
) -> None:
    error = await recorded.run(behind(endpoint, answer, timeout=0.3))
    assert isinstance(error, ModelError)
    assert str(error).startswith(says)
    assert "\n" not in str(error)
    assert error.__notes__ == ["no call had started"]


async def test_thoughts_without_end_are_cut_off(endpoint: Loopback) -> None:
    model = behind(endpoint, Answer(lines=[MUTE] * 70_000, endless=True))
    request = ModelRequest((Message("user", "?"),), max_tokens=2)
    with pytest.raises(ModelError, match="goes on and on without a word|more bytes than 2 tokens"):
        await asyncio.wait_for(anext(model.stream(request)), 10)
    assert await asyncio.to_thread(endpoint.hung_up.wait, 5)


async def test_thoughts_before_a_plan_do_no_harm(recorded: Recorded, endpoint: Loopback) -> None:
    answer = Answer(lines=[MUTE] * 6 + reply(RIGHT).lines, pace=0.1)
    result = await recorded.run(behind(endpoint, answer, timeout=0.4))
    assert result.answer == "<a><d><c>"


@pytest.mark.parametrize(
    "text", ["# and so on\n" * 300, "x" * 4_000, " " * 4_000], ids=["lines", "a line", "air"]
)
async def test_text_without_end_is_hung_up_on(recorded: Recorded, endpoint: Loopback, text: str) -> None:
    endless = Answer(lines=[*WHOLE, event(text)], endless=True)
    result = await recorded.run(behind(endpoint, endless, reply(RIGHT)))
    assert result.answer == "<a><d><c>"
    assert "cut off after 1024 tokens" in result.recoveries[0].why
    assert await asyncio.to_thread(endpoint.hung_up.wait, 5)
    assert recorded.ran == {"a": 1, "b": 1, "d": 1, "c": 1, "join": 1}
    assert recorded.cancelled == ["b"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the plan has no call"),
        ("\n \n", "the plan has no call"),
        ("```\n```", "the plan has no call"),
        ("I would first look a up, and then b.", "this is not a call"),
        ("\x00\x00\x00", "the control character '\\x00' can't stand in a plan"),
        ('s1 = fetch(name="a\x00")', "the control character '\\x00' can't stand in a plan"),
        ('s1 = fetch(name="\ud800")', "surrogates not allowed"),
    ],
    ids=["empty", "blank", "fences", "prose", "NUL", "NUL in a string", "half a character"],
)
async def test_a_reply_that_is_no_plan_is_repaired_or_named(
    recorded: Recorded, endpoint: Loopback, text: str, says: str
) -> None:
    result = await recorded.run(behind(endpoint, reply(text), reply(RIGHT)))
    assert result.answer == "<a><d><c>"
    assert says in result.recoveries[0].why
    error = await recorded.run(behind(endpoint, reply(text)), repairs=0)
    assert isinstance(error, UnresolvedQuery)
    assert says in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "garbage",
    [
        "s4 join(parts=[s1])\n",
        "= join(parts=[s1])\n",
        "s4 = \n",
        "s1 = join(\n",
        "s4 = f(x=s9)\n",
        "%$&!\n",
        "\x00\x00\n",
    ],
)
@pytest.mark.parametrize("chunk", [5, 1_000])
async def test_garbage_after_right_calls_runs_none_of_them_again(
    recorded: Recorded, garbage: str, chunk: int
) -> None:
    wrong = f"{ONE}{SLOW}{THIRD}{garbage}"
    result = await recorded.run(ScriptedModel([wrong, RIGHT], chunk=chunk, delay=0.002))
    assert result.answer == "<a><d><c>"
    assert [recovery.kind for recovery in result.recoveries] == ["repair"]
    began = {"b": 1} if recorded.ran["b"] else {}  # a large piece is read to its error before a call starts
    assert recorded.ran == {"a": 1, "d": 1, "c": 1, "join": 1} | began
    assert recorded.cancelled == list(began)


async def test_a_call_that_only_moved_is_not_made_again(recorded: Recorded) -> None:
    moved = 's1 = fetch(name="new")\ns2 = fetch(name="a")\ns3 = join(parts=[s1, s2])\n'
    result = await recorded.run(ScriptedModel([f"{ONE}s2 = join(parts=[s7])\n", moved], delay=0.002))
    assert result.answer == "<new><a>"
    assert recorded.ran == {"a": 1, "new": 1, "join": 1}


A, C, E = ("completed", "<a>"), ("completed", "<c>"), ("completed", "<e>")


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        ([ModelError("gone")], {"s1": A, "s4": A}),
        ([["s1 = ", ModelError("gone")]], {"s1": A, "s4": A}),
        ([[ONE, "s2 = fe", ModelError("gone")]], {"s1": A, "s4": A}),
        # s1 is another call by now, so that what used the old one has nowhere to stand.
        ([['s1 = fetch(name="c")\ns2 = fe', ModelError("gone")]], {"s1": C}),
        (["", ModelError("gone")], {"s1": A, "s4": A}),
        (["I can't."] * 8, {"s1": A, "s4": A}),
        ([['s3 = fetch(name="e")\n', "s4 = no\n"]] * 8, {"s3": E, "s1": A, "s4": A}),
    ],
    ids=["at once", "amid a line", "after a call", "after another call", "later", "prose", "and what is new"],
)
async def test_what_finished_before_a_repair_is_kept_if_the_repair_fails(
    recorded: Recorded, later: list[Any], kept: dict[str, Any]
) -> None:
    """It was forgotten with the plan that was given back."""
    wrong = f"{ONE}{SLOW}s4 = join(parts=[s1])\ns5 = join(parts=[s9])\n"
    error = await recorded.run(ScriptedModel([wrong, *later], delay=0.003, chunk=5))
    assert isinstance(error, LLMOrchError)
    assert statuses(error) == kept
    assert error.__notes__ == [f"completed: {', '.join(kept)}"]
    assert set(recorded.ran.values()) == {1}
    assert recorded.cancelled == ["b"]


@pytest.mark.parametrize("chunk", [12, 100_000, 1_000_000])
async def test_a_line_of_a_million_characters_is_refused_within_bounds(
    recorded: Recorded, chunk: int
) -> None:
    line = f's2 = join(parts=["{"x" * 1_000_000}"])'
    result = await recorded.run(ScriptedModel([f"{ONE}{line}\n", RIGHT], chunk=chunk))
    assert result.answer == "<a><d><c>"
    assert "cut off after 1024 tokens" in result.recoveries[0].why
    async with Orchestrator(recorded.functions, model=ScriptedModel([])) as orchestrator:
        with pytest.raises(PlanError, match="a statement is longer than 100,000 characters"):
            await orchestrator.execute(f"{ONE}{line}")


async def test_thirty_thousand_calls_are_refused_within_bounds(recorded: Recorded) -> None:
    many = "".join(f's{at} = fetch(name="{at}")\n' for at in range(1, 30_001))
    result = await recorded.run(ScriptedModel([many, RIGHT], chunk=4_000))
    assert result.answer == "<a><d><c>"
    assert "cut off after 1024 tokens" in result.recoveries[0].why
    assert 0 < sum(recorded.ran.values()) < 1_000
    with pytest.raises(PlanError, match="a plan has at most 20,000 calls"):
        parse(many)


@pytest.mark.parametrize("technique", ["react", "parallel", "toolcompiler", "rewoo", "llmcompiler"])
async def test_every_technique_ends_when_its_model_breaks_off(
    recorded: Recorded, endpoint: Loopback, technique: str
) -> None:
    for answer in (
        Answer(lines=[event("Thought")], then="silence"),
        Answer(lines=[event("x")], then="reset"),
    ):
        error = await recorded.run(behind(endpoint, answer, timeout=0.3), technique=technique)
        assert isinstance(error, ModelError)
        assert "the reply broke off" in str(error)


async def test_cancelling_a_run_whose_model_is_silent_hangs_up(
    recorded: Recorded, endpoint: Loopback
) -> None:
    model = behind(endpoint, Answer(lines=WHOLE, then="silence"), timeout=60)
    task = asyncio.create_task(recorded.run(model))
    await asyncio.wait_for(recorded.slow.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await asyncio.wait_for(task, 10)
    assert caught.value.__notes__ == ["completed: s1; cancelled: s2"]
    assert await asyncio.to_thread(endpoint.hung_up.wait, 5)
    assert recorded.cancelled == ["b"]
