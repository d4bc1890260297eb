"""A technique of one's own: one file, only public names, played with canned replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmorch.plan import check, parse
from llmorch.requests import Message, ModelRequest
from llmorch.techniques import TECHNIQUES, Answer, AskModel, Conversation, RunPlan, Task, Technique
from tests.techniques.playing import play

if TYPE_CHECKING:
    from llmorch.techniques import Outcome, Reply


def headings(task: Task) -> Conversation[Answer]:
    """Ask for headings, look all of them up at once, and have the answer written from that."""

    def asked(text: str) -> AskModel:
        return AskModel(ModelRequest((Message("user", f"{text}\n{task.query}"),), max_tokens=100))

    reply: Reply = yield asked("Topics to look up, one a line:")
    topics = [line.strip() for line in reply.text.splitlines() if line.strip()]
    if not topics:
        return Answer(False, error="the model named no topic")
    text = "\n".join(f"s{at} = search(query={topic!r})" for at, topic in enumerate(topics, 1))
    outcome: Outcome = yield RunPlan(check(parse(text), task.functions))
    found = "\n".join(str(outcome.results.get(call.id, "nothing")) for call in outcome.plan)
    answer: Reply = yield asked(f"{found}\nAnswer from this:")
    return Answer(True, answer.text)


HEADINGS = Technique("headings", headings, policy="greedy")


def test_a_technique_of_ones_own_is_a_generator_that_is_played_like_any_other() -> None:
    played = play(HEADINGS.play, ["Kansas\nTexas", "Texas"])
    assert played.answer == Answer(True, "Texas")
    assert played.runs == ['s1 = search(query="Kansas")\ns2 = search(query="Texas")']
    assert played.told == "search of Kansas\nsearch of Texas\nAnswer from this:\nWhich is it?"


def test_what_its_calls_and_the_model_fail_to_give_is_its_own_to_tell() -> None:
    assert "nothing\nsearch of Texas" in play(HEADINGS.play, ["no page\nTexas", "Texas"]).told
    assert play(HEADINGS.play, ["\n"]).answer == Answer(False, error="the model named no topic")


def test_a_technique_says_how_its_calls_are_ordered_unless_that_is_left_to_the_default() -> None:
    assert Technique("mine", headings) == Technique("mine", headings, "critical", True, 0, False)
    assert [technique.name for technique in TECHNIQUES.values() if technique.last_answers] == ["llmorch"]


def test_a_technique_without_a_name_or_with_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="name of a technique"):
        Technique("", headings)
    with pytest.raises(ValueError, match="technique mine: there is no policy 'fast'; there are critical, "):
        Technique("mine", headings, policy="fast")
