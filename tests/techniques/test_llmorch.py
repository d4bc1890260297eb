"""The technique, played with canned replies: no model, no loop, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmorch import function
from llmorch.declare.offered import as_functions, self_function
from llmorch.errors import FunctionError, PlanError, UnresolvedQuery
from llmorch.plan import check, parse, render, with_answer
from llmorch.techniques import Answer, Draft, Outcome, Recovery, RunPlan, Task, WritePlan, parse_examples
from llmorch.techniques.plans import llmorch

if TYPE_CHECKING:
    from llmorch.calls import Plan


@function(pure=True)
async def search(query: str, k: int = 500) -> str:
    """Search the encyclopedia.

    Args:
        query: What to look for.
        k: How many words to return.
    """


FUNCTIONS = as_functions([search]) | {"self": self_function("inout")}
RIGHT = 's1 = search(query="Texas")\ns2 = self(prompt="area of Texas? {s1}")'
UNUSED = 's1 = search(query="Texas")\ns2 = self(prompt="area of Texas?")'
WRONG = 's1 = search(query="Texas")\ns2 = self(prompt="{s7}")'


def drafted(text: str) -> Draft:
    try:
        return Draft(text, plan=check(parse(text), FUNCTIONS))
    except PlanError as error:
        return Draft(text, error=error)


def play(*texts: str, **changes: Any) -> tuple[Plan, list[WritePlan]]:
    """The plan that is run when the model writes ``texts``, and what it was asked."""
    conversation = llmorch(Task("How large is Texas?", FUNCTIONS, (), constrains=True, **changes))
    asked, effect = [], next(conversation)
    for text in texts:
        assert isinstance(effect, WritePlan)
        asked.append(effect)
        effect = conversation.send(drafted(text))
    assert isinstance(effect, RunPlan)
    with pytest.raises(StopIteration) as stopped:
        conversation.send(Outcome(effect.plan, {effect.plan.answer: "large"}, {}))
    answer = stopped.value.value
    assert (answer.answered, answer.value) == (True, "large")
    return effect.plan, asked


def test_a_right_plan_is_run_as_it_is() -> None:
    plan, asked = play(RIGHT)
    assert render(plan) == RIGHT
    assert asked[0].request.messages[-1].text.endswith("Query: How large is Texas?")


def test_what_stays_the_same_from_query_to_query_comes_first() -> None:
    requests = []
    for query in ("How large is Texas?", "Who wrote Faust?"):
        requests.append(next(llmorch(Task(query, FUNCTIONS, (), constrains=False))).request)
    one, other = requests
    assert one.cached == other.cached == len(one.messages) - 1
    assert one.messages[: one.cached] == other.messages[: other.cached]
    assert one.grammar is None
    assert "search(query: str, k: int = 500) -> str: Search the encyclopedia." in one.messages[0].text
    assert "k: How many words to return." in one.messages[0].text


def test_a_wrong_plan_is_repaired_with_the_error_in_the_prompt() -> None:
    plan, asked = play(WRONG, RIGHT)
    assert render(plan) == RIGHT
    shown = asked[1].request.messages[-1].text
    assert "line 2, column 18: s7 is not defined" in shown
    assert "ids defined above this line: s1" in shown
    assert asked[1].request.messages[-2].text == WRONG


def test_a_repair_is_recorded_with_its_reason_and_a_failed_answer_has_no_value() -> None:
    conversation = llmorch(Task("How large is Texas?", FUNCTIONS, (), constrains=True))
    next(conversation)
    conversation.send(drafted(WRONG))
    effect = conversation.send(drafted(RIGHT))
    with pytest.raises(StopIteration) as stopped:
        conversation.send(Outcome(effect.plan, {"s1": "Texas is large"}, {"s2": "503"}))
    recovery = Recovery("repair", "s7 is not defined")
    assert stopped.value.value == Answer(False, recoveries=(recovery,))


def test_an_unused_result_is_given_back_once_and_then_put_into_the_last_prompt() -> None:
    plan, asked = play(UNUSED, UNUSED)
    assert "the result of s1 is not used by any later call" in asked[1].request.messages[-1].text
    assert (
        render(plan)
        == 's1 = search(query="Texas")\ns2 = self(prompt="area of Texas?\\n\\nResult of s1:\\n{s1}")'
    )


def test_a_repair_that_makes_it_worse_is_not_taken() -> None:
    plan, _ = play(UNUSED, WRONG)
    assert plan["s2"].uses == ("s1",)


@pytest.mark.parametrize("text", ["", "I am sorry, I can't.", WRONG, 's1 = fly(to="Texas")'])
def test_a_query_without_a_plan_says_what_was_tried(text) -> None:
    conversation = llmorch(Task("How large is Texas?", FUNCTIONS, (), constrains=True, repairs=2))
    asked = [next(conversation).request]
    asked += [conversation.send(drafted(text)).request for _ in range(8)]
    assert [request.temperature for request in asked] == [0.0] * 3 + [0.7] * 3 + [1.0] * 3
    assert [request.seed for request in asked] == [0] * 3 + [1] * 3 + [2] * 3
    # What some models refuse is not all that changes.
    assert asked[6].messages != asked[3].messages == asked[0].messages
    with pytest.raises(UnresolvedQuery, match="in 9 attempts, of which 3 began anew: "):
        conversation.send(drafted(text))


def test_an_examples_file_is_plans_under_their_queries() -> None:
    text = '# query: How large\n# is it?\ns1: search("it")\n\n# query: Who?\ns1 = search(query="who")\n'
    examples = parse_examples(text)
    assert [(example.query, example.plan) for example in examples] == [
        ("How large is it?", 's1 = search("it")'),
        ("Who?", 's1 = search(query="who")'),
    ]
    why = 's1 = search("a")\ns2 = search("b")\ns3 = self(prompt="{s2}")'
    longer = (*examples, *parse_examples(f"# query: Why?\n{why}"))
    request = next(llmorch(Task("And?", FUNCTIONS, longer, constrains=False))).request
    assert [message.text for message in request.messages[1:]] == [
        "Query: How large is it?",
        's1 = search("it")',
        "Query: Who?",
        's1 = search(query="who")',
        "Query: Why?",
        why,
        "Query: And?",
    ]


def test_examples_without_a_call_that_uses_another_are_shown_without_ids_and_first_names() -> None:
    text = '# query: How large?\ns1 = search(query="it")\ns2 = search(query="b", k=9)\ns3 = search("a")'
    request = next(llmorch(Task("And?", FUNCTIONS, parse_examples(text), constrains=True))).request
    assert request.messages[2].text == 'search("it")\nsearch("b", k=9)\nsearch("a")'
    assert 'line ::= (new " = ")? call' in request.grammar
    assert '"search(" "query="? (' in request.grammar


def test_an_optional_argument_keeps_its_name_in_a_short_example() -> None:
    @function(pure=True)
    async def rooms(city: str = "Rome", k: int = 5) -> str:
        """List rooms."""
        return f"{k} in {city}"

    examples = parse_examples('# query: Where?\ns1 = rooms(city="Oslo", k=3)')
    request = next(llmorch(Task("And?", as_functions([rooms]), examples, constrains=True))).request
    assert request.messages[2].text == 'rooms(city="Oslo", k=3)'


def test_examples_whose_last_call_reads_all_results_name_them_by_their_places() -> None:
    text = (
        '# query: How?\na = search(query="it")\nb = search("x")\nc = self(prompt="{query} {a} {b.size}", k=b)'
    )
    request = next(llmorch(Task("And?", FUNCTIONS, parse_examples(text), constrains=True))).request
    assert request.messages[2].text == 'search("it")\nsearch("x")\nself("{query} {s1} {s2.size}", k=s2)'
    assert "The result of the first call is s1" in request.messages[0].text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no example"),
        ('s1 = search("it")', "line 1: a plan needs its query"),
        ("# query: How?\n\ns1 = search(", "line 3, column"),
        ("# query: How?", "no call"),
    ],
)
def test_an_examples_file_that_is_none_says_where(text, says) -> None:
    with pytest.raises(FunctionError, match=says):
        parse_examples(text, name="some.plans")


def test_two_loose_ends_are_read_by_a_last_call() -> None:
    plan, asked = play('s1 = search(query="Texas")\ns2 = search(query="Ohio")')
    assert len(asked) == 1
    assert plan["s3"].function == "self"
    assert plan["s3"].uses == ("s1", "s2")


def test_a_loose_end_beside_a_conclusion_spoils_no_answer() -> None:
    @function(pure=True)
    async def best(pages: list[str]) -> str:
        """Choose the best page."""

    functions = FUNCTIONS | as_functions([best])
    text = 's1 = search(query="Texas")\ns2 = search(query="Ohio")\ns3 = best(pages=[s1])'
    made = check(parse(text), functions)
    assert with_answer(made, functions, "Which?") == made
