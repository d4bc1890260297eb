"""ReWOO and LLMCompiler with canned replies."""

from __future__ import annotations

import pytest

from llmorch.calls import Constant, Plan
from llmorch.errors import UnresolvedQuery
from llmorch.plan import parse, with_ids, with_query
from llmorch.techniques import Example, Recovery, Reply
from llmorch.techniques.plans import llmcompiler, rewoo
from tests.techniques.playing import play

PLAN = 's1 = search(query="A")\ns2 = search_news(query="{s1}")'


@pytest.mark.parametrize(
    "plan",
    [
        '# why\nE1 = search(query="A")\n# then\nE2 = search_news(query="about {E1}")',
        'Plan: find it #E1 = search(query="A")\nPlan: then #E2 = search_news(query="about #E1")',
        'Plan: find it\n#E1 = search("A")\nPlan: then\n#E2 = search_news("about #E1")',
        's1 = search(query="A")\ns2 = search_news(query="about {s1}")',
    ],
)
def test_rewoo_runs_all_of_its_plan_and_asks_the_solver_once(plan) -> None:
    played = play(rewoo, [plan, "Answer: it is A"])
    assert len(played.runs) == 1
    assert len(played.requests) == 2
    assert "Evidence: search of A" in played.told
    assert "Evidence: search_news of about search of A" in played.told
    assert played.answer.value == "it is A"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Thought: because.\nAnswer: 42", "42"),
        ("**Answer:** **42**", "42"),
        ("It is 42.\nThat is all.", "It is 42.\nThat is all."),
    ],
)
def test_rewoo_reads_the_answer_out_of_what_the_solver_says(text, answer) -> None:
    assert play(rewoo, ['E1 = search(query="A")', text]).answer.value == answer


def test_rewoo_tells_the_solver_what_failed() -> None:
    played = play(rewoo, ['E1 = search(query="nowhere")', "unknown"])
    assert "Evidence: Error: there is no nowhere" in played.told
    assert played.answer.answered


@pytest.mark.parametrize("text", ["", "I can't", "E1 = fly()", Reply("E1 = se", "length")])
def test_rewoo_does_not_repair_its_plan(text) -> None:
    with pytest.raises(UnresolvedQuery):
        play(rewoo, [text])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the plan has no call"),
        ("garbage (", "'(' was never closed"),
        ("# it is needed\nE1 = fly()", "line 2, column 1: there is no function fly"),
        (Reply("E1 = se", "length"), "the plan was cut off after 1024 tokens"),
    ],
)
def test_rewoo_repairs_its_plan_where_recoveries_are_asked_for(text, says) -> None:
    played = play(rewoo, [text, '#E1 = search("A")', "A"], recoveries=2)
    assert played.runs == ['E1 = search(query="A")']
    assert says in played.requests[1].messages[-1].text
    (recovery,) = played.answer.recoveries
    assert (recovery.kind, recovery.why in played.requests[1].messages[-1].text) == ("repair", True)


def test_rewoo_translates_anew_where_repairs_do_not_lead_to_a_plan() -> None:
    played = play(rewoo, ["no"] * 3 + ['E1 = search(query="A")', "A"], recoveries=1)
    assert [recovery.kind for recovery in played.answer.recoveries] == ["repair"] * 4
    first, anew = played.requests[0], played.requests[3]
    assert (first.temperature, anew.temperature, anew.messages) == (0.0, 0.7, first.messages)
    with pytest.raises(UnresolvedQuery, match="in 9 attempts, of which 3 began anew: this is not a call"):
        play(rewoo, ["no"] * 9, recoveries=1)


def test_rewoo_shows_examples_with_evidence_variables() -> None:
    shown = play(rewoo, ['E1 = search(query="A")', "x"], examples=(Example("Which?", PLAN),)).requests[0]
    assert 'E2 = search_news(query="{E1}")' in shown.messages[2].text


def test_llmcompiler_joins_when_all_has_ended() -> None:
    played = play(llmcompiler, [PLAN, "Thought: seen\nAnswer: A"])
    assert played.runs == [PLAN]
    assert "Result: search_news of search of A" in played.told
    assert (played.answer.value, played.answer.recoveries) == ("A", ())


def test_a_new_plan_uses_the_old_results_by_their_ids() -> None:
    played = play(
        llmcompiler,
        [PLAN, "Thought: more\nReplan: the date is missing", 's3 = search(query="{s2}")', "Answer: B"],
    )
    assert played.runs == [PLAN, 's3 = search(query="{s2}")']
    assert "search of search_news of search of A" in played.told
    assert played.answer.recoveries == (Recovery("replan", "the date is missing"),)
    replanned = played.requests[2].messages[-1].text
    assert "s2 = search_news" in replanned
    assert "the next id is s3" in replanned


def test_llmcompiler_accepts_its_own_notation() -> None:
    plan = '1. search(query="A")\n2. search_news(query="$1")\n3. join()<END_OF_PLAN>'
    assert play(llmcompiler, [plan, "Action: Finish(A)"]).runs == [PLAN]


def test_a_call_that_fails_is_told_to_the_joiner_with_what_it_stopped() -> None:
    played = play(
        llmcompiler,
        [
            's1 = search(query="nowhere")\ns2 = search(query="B")',
            "Replan: s1 failed",
            's3 = search(query="C")',
            "Answer: C",
        ],
    )
    assert "Error: there is no nowhere" in played.requests[1].messages[-1].text
    assert "search of B" in played.requests[1].messages[-1].text
    assert played.answer.value == "C"


def test_a_plan_that_cannot_be_run_is_planned_again() -> None:
    played = play(llmcompiler, ["nonsense", PLAN, "Answer: A"])
    assert "this is not a call with an id" in played.answer.recoveries[0].why
    assert "this is not a call with an id" in played.requests[1].messages[-1].text


def test_the_last_joiner_may_only_answer_and_then_it_ends() -> None:
    replies = []
    for at in range(3):
        replies += [f's{at + 1} = search(query="{at}")', "Replan: more"]
    played = play(llmcompiler, replies, constrains=True)
    assert "Replan" in played.requests[1].grammar
    assert "Replan" not in played.requests[5].grammar
    assert not played.answer.answered
    assert len(played.answer.recoveries) == 2


def test_what_finished_is_joined_when_the_last_new_plan_cannot_be_run() -> None:
    replies = [PLAN, "Replan: more", "s1 = search(", "nonsense", "Answer: A"]
    played = play(llmcompiler, replies, constrains=True)
    assert played.answer.value == "A"
    assert "Result: search_news of search of A" in played.told
    assert "Replan" not in played.requests[-1].grammar


def test_without_any_result_nothing_is_joined() -> None:
    played = play(llmcompiler, ["nonsense"] * 3)
    assert "the plan could not be run" in played.answer.error


def test_an_id_of_an_earlier_plan_cannot_be_defined_again() -> None:
    played = play(
        llmcompiler,
        [
            PLAN,
            "Replan: more",
            's1 = search(query="C")',
            PLAN.replace("s1", "s3").replace("s2", "s4"),
            "Answer: x",
        ],
    )
    assert "s1 is defined twice, first in an earlier plan" in played.answer.recoveries[1].why


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('s1 = search(query="{query}")', 's1 = search(query="Which is it?")'),
        (
            's1 = search(query="A")\ns2 = search(query="{s1} {query}")',
            's1 = search(query="A")\ns2 = search(query="{s1} Which is it?")',
        ),
    ],
)
def test_a_plan_need_not_repeat_the_query(written, meant) -> None:
    assert play(rewoo, [written, "x"]).runs == [meant]
    made = Plan(tuple(with_query(call, "Which is it?") for call in parse(written)))
    assert made == parse(meant)


def test_what_a_query_says_is_text_and_a_result_is_left_alone() -> None:
    (call,) = parse('s1 = search(query="{query}")')
    made = with_query(call, "costs $1 {s1} {query}")
    assert made.args["query"] == Constant("costs $1 {s1} {query}")
    assert made.uses == ()
    (plain,) = parse('s1 = search(query="query", k=[1, {"a": None}])')
    assert with_query(plain, "Which?") is plain


@pytest.mark.parametrize("text", ["Thought: more is needed", "", "Thought: I should repl"])
def test_a_thought_is_no_answer(text) -> None:
    played = play(llmcompiler, [PLAN, text, 's3 = search(query="C")', "Answer: C"])
    assert played.answer.value == "C"
    assert played.answer.recoveries[0].why == "the joiner neither answered nor said what is missing"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('#E1 = search("A")\n#E2 = search(query=#E1)', 's1 = search(query="A")\ns2 = search(query=s1)'),
        ('E1 = search(query="colour #E1 and #E7")', 's1 = search(query="colour #E1 and #E7")'),
        (
            'E1 = search(query="""def f():\n    return 1\nPlan: buy milk\n# no comment""")',
            's1 = search(query="def f():\\n    return 1\\nPlan: buy milk\\n# no comment")',
        ),
        ("E1 = search(query='it\\'s #E1')", 's1 = search(query="it\'s #E1")'),
        ('Plan: find "it" #E1 = search(query="A")  # so', 's1 = search(query="A")'),
    ],
)
def test_evidence_is_read_where_it_is_meant(written, meant) -> None:
    played = play(rewoo, [written, "x"])
    assert with_ids(parse(played.runs[0]), {"E1": "s1", "E2": "s2"}) == parse(meant)
