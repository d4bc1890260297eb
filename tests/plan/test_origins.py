"""What comes from outside, by declaration and by relations, and arguments that may not come from there."""

from __future__ import annotations

import pytest

from llmorch import FunctionError, Orchestrator, PlanError, function
from llmorch.declare.functions import SELF
from llmorch.declare.offered import as_functions, self_function
from llmorch.errors import UntrustedArgument
from llmorch.plan import check, parse
from llmorch.plan.origins import Origins
from llmorch.relations import discover
from llmorch.testing import ScriptedModel


@function(untrusted=True)
def read_page(url: str) -> str:
    """Read a page of the web."""
    return url


@function(untrusted=False)
def contact(name: str) -> dict[str, str]:
    """Look somebody up in the own address book."""
    return {"mail": name}


@function
def shorten(text: str) -> str:
    """Shorten a text."""
    return text[:3]


@function(writes=["mail"], trusted=["to", "copies"])
def send(to: str, body: str, copies: list[str] | None = None) -> str:
    """Send a mail."""
    return to + body


FUNCTIONS = as_functions([read_page, contact, shorten, send])
TRUSTED = {
    "as the query has it": 's1 = read_page("x")\ns2 = send(to="ann@x", body=s1)',
    "what doesn't come from outside": 's1 = contact("Ann")\ns2 = send(to=s1["mail"], body="Hi")',
    "made of it": 's1 = contact("Ann")\ns2 = shorten(s1.mail)\ns3 = send(to=s2 + "@x", body="Hi", copies=[s1.mail])',
    "outside is elsewhere": 's1 = read_page("x")\ns2 = contact("Ann")\ns3 = send(to=s2.mail, body="{s1}")',
}
UNTRUSTED = {
    "the result": ('s1 = read_page("x")\ns2 = send(to=s1, body="Hi")', "s1 (read_page) -> to"),
    "in a text": ('s1 = read_page("x")\ns2 = send(to="a{s1}b", body="Hi")', "s1 (read_page) -> to"),
    "a piece": ('s1 = read_page("x")\ns2 = send(to=s1[0:3], body="Hi")', "s1 (read_page) -> to"),
    "a field": ('s1 = read_page("x")\ns2 = send(to=s1.mail, body="Hi")', "s1 (read_page) -> to"),
    "a built-in": ('s1 = read_page("x")\ns2 = send(to=str(len(s1)), body="Hi")', "s1 (read_page) -> to"),
    "a comparison": ('s1 = read_page("x")\ns2 = send(to=str(s1 == "a"), body="Hi")', "s1 (read_page) -> to"),
    "in a list": (
        's1 = read_page("x")\ns2 = send(to="a", body="Hi", copies=["b", s1])',
        "s1 (read_page) -> copies",
    ),
    "in its place": ('s1 = read_page("x")\ns2 = send(s1, "Hi")', "s1 (read_page) -> to"),
    "by a call": (
        's1 = read_page("x")\ns2 = shorten(s1)\ns3 = send(to=s2, body="Hi")',
        "s1 (read_page) -> s2 (shorten) -> to",
    ),
    "by one that is trusted itself": (
        's1 = read_page("x")\ns2 = contact(s1)\ns3 = send(to=s2.mail, body="Hi")',
        "s1 (read_page) -> s2 (contact) -> to",
    ),
    "by the model": (
        's1 = read_page("x")\ns2 = self(prompt="Who wrote {s1}?")\ns3 = send(to=s2, body="Hi")',
        "s1 (read_page) -> s2 (self) -> to",
    ),
}


@pytest.mark.parametrize("text", TRUSTED.values(), ids=TRUSTED)
def test_a_trusted_argument_that_does_not_come_from_outside_is_taken(text: str) -> None:
    check(parse(text), FUNCTIONS)


@pytest.mark.parametrize(("text", "path"), UNTRUSTED.values(), ids=UNTRUSTED)
def test_one_that_comes_from_outside_is_refused_with_the_path(text: str, path: str) -> None:
    functions = {**FUNCTIONS, SELF: self_function("inout")}
    with pytest.raises(UntrustedArgument) as refused:
        check(parse(text), functions)
    assert refused.value.message.endswith(f"may not come from outside, and does: {path}")
    assert refused.value.line == text.count("\n") + 1


def test_nothing_runs_of_a_plan_that_is_refused() -> None:
    begun = []

    @function(untrusted=True)
    def fetch() -> str:
        """Fetch."""
        begun.append("fetch")
        return "x"

    orchestrator = Orchestrator([fetch, send], model=ScriptedModel([]), processors=1, learn=False)
    with pytest.raises(PlanError, match=r"s1 \(fetch\) -> to"):
        orchestrator.execute_sync('s1 = fetch()\ns2 = send(to=s1, body="Hi")')
    assert begun == []


def test_a_plan_that_is_refused_is_given_back_to_the_model() -> None:
    replies = [
        's1 = read_page("x")\ns2 = send(to=s1, body="Hi")',
        's1 = read_page("x")\ns2 = send(to="ann@x", body=s1)',
    ]
    model = ScriptedModel(replies)
    orchestrator = Orchestrator([read_page, send], model=model, processors=1, learn=False)
    result = orchestrator.run_sync("Send Ann the page.")
    assert result.answer == "ann@xx"
    assert "to of send may not come from outside" in model.requests[1].messages[-1].text


def test_the_graph_knows_what_comes_from_outside() -> None:
    text = 's1 = read_page("x")\ns2 = contact("Ann")\ns3 = shorten(s1)\ns4 = send(to=s2.mail, body=s3)'
    origins = discover(check(parse(text), FUNCTIONS), FUNCTIONS).origins
    assert {call: origins.path(call) for call in ("s1", "s2", "s3", "s4")} == {
        "s1": ["s1"], "s2": [], "s3": ["s1", "s3"], "s4": ["s1", "s3", "s4"],
    }  # fmt: skip


def test_records_tell_what_comes_from_outside() -> None:
    orchestrator = Orchestrator(
        [read_page, shorten, contact], model=ScriptedModel([]), processors=1, learn=False
    )
    result = orchestrator.execute_sync('s1 = read_page("x")\ns2 = shorten(s1)\ns3 = contact("Ann")')
    assert [(call.id, call.outside, call.influenced) for call in result.calls] == [
        ("s1", True, False), ("s2", True, False), ("s3", False, False),
    ]  # fmt: skip
    assert [call["outside"] for call in result.as_json()["calls"]] == [True, True, False]


def test_what_stands_for_a_call_now_counts() -> None:
    origins = Origins()
    (before,) = parse('s1 = read_page("x")')
    (after,) = parse('s1 = contact("x")')
    origins.take(before, untrusted=True)
    assert "s1" in origins
    origins.take(after, untrusted=False)
    assert "s1" not in origins
    assert origins.told("s1") == ""


def test_a_long_path_is_told_by_both_ends_and_in_linear_time() -> None:
    lines = ['s1 = read_page("x")', *(f"s{at} = shorten(s{at - 1})" for at in range(2, 20_001))]
    plan = check(parse("\n".join(lines)), FUNCTIONS)
    origins = discover(plan, FUNCTIONS).origins
    told = origins.told("s20000")
    assert told.startswith("s1 (read_page) -> s2 (shorten) -> ")
    assert " -> 19992 more -> " in told
    assert told.endswith("-> s20000 (shorten)")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"untrusted": "yes"}, "untrusted is True or False, not 'yes'"),
        ({"trusted": "to"}, "trusted is a list of parameters"),
        ({"trusted": ["nobody"]}, "trusted names nobody, and its parameters are to"),
        ({"trusted": [1]}, "trusted is a list of parameters"),
    ],
    ids=str,
)
def test_what_cannot_be_declared_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(FunctionError, match=why):
        _declared(options)


def _declared(options: dict[str, object]) -> None:
    def mail(to: str) -> None:
        """Send."""

    function(**options)(mail)  # type: ignore[arg-type]
