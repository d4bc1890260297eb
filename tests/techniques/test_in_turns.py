"""ReAct, parallel function calling and LLM-Tool Compiler with canned replies."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from pydantic import BaseModel

from llmorch import function
from llmorch.declare.offered import as_functions, self_function
from llmorch.errors import FunctionError
from llmorch.requests import ToolCall
from llmorch.techniques import Example, Reply, Task, parse_examples
from llmorch.techniques.toolcompiler import fuse, toolcompiler
from llmorch.techniques.turns import in_batches, parallel, react
from tests.techniques.playing import FUNCTIONS, play


def test_react_makes_one_call_a_turn_and_sees_what_it_returned() -> None:
    played = play(
        react,
        [
            'Thought: first\nAction: search(query="A")',
            'Thought: second\nAction: search(query="B")',
            "Thought: done\nAnswer: B",
        ],
    )
    assert played.runs == ['s1 = search(query="A")', 's2 = search(query="B")']
    assert played.told == "Observation: search of B"
    assert (played.answer.answered, played.answer.value, played.answer.recoveries) == (True, "B", ())


def test_what_the_model_imagines_as_an_observation_is_cut_off() -> None:
    played = play(
        react, ['Thought: a\nAction: search(query="A")\nObservation: invented\nAnswer: 3', "Answer: 4"]
    )
    assert played.answer.value == "4"
    assert played.requests[1].messages[-2].text == 'Thought: a\nAction: search(query="A")'
    assert played.requests[0].stop == ("\nObservation:",)


def test_a_call_that_fails_is_an_observation() -> None:
    played = play(react, ['Action: search(query="nowhere")', "Answer: unknown"])
    assert played.told == "Observation: Error: there is no nowhere"
    assert played.answer.answered


def test_what_was_tried_in_turns_outlives_a_run_that_is_cut_short() -> None:
    task = Task("Which is it?", FUNCTIONS, examples=(), constrains=False)
    conversation = react(task)
    next(conversation)
    conversation.send(Reply("Action: fly(to=1)"))
    conversation.close()
    assert [(recovery.kind, recovery.why) for recovery in task.tried] == [
        ("repair", "there is no function fly")
    ]


def test_an_action_that_cannot_be_run_is_told_with_the_reason() -> None:
    played = play(
        react,
        ["Action: fly(to=1)", 'Action: search(query="A")', "Action: search(query=5)", "Answer: x"],
    )
    assert [recovery.kind for recovery in played.answer.recoveries] == ["repair", "repair"]
    assert "there is no function fly" in played.answer.recoveries[0].why
    assert "query of search" in played.told


def test_react_stops_when_it_repeats_an_action_and_never_runs_it_twice() -> None:
    played = play(react, ['Thought: a\nAction: search(query="A")'] * 3)
    assert played.runs == ['s1 = search(query="A")']
    assert not played.answer.answered
    assert played.answer.error == 'the model repeated search(query="A")'


def test_react_stops_when_it_goes_back_and_forth() -> None:
    one, other = 'Action: search(query="A")', 'Action: search(query="B")'
    played = play(react, [one, other, one, other])
    assert len(played.runs) == 2
    assert not played.answer.answered


def test_react_ends_at_the_limit_of_turns() -> None:
    played = play(react, [f'Action: search(query="{at}")' for at in range(5)], turns=5)
    assert played.answer.error == "no answer in 5 turns"
    assert len(played.runs) == 5


@pytest.mark.parametrize("text", ["", "I don't know.", "Action:", "Action: ???", "Answer:"])
def test_a_model_that_writes_neither_is_told_once_and_then_stopped(text) -> None:
    played = play(react, [text, text])
    assert not played.answer.answered
    assert "nothing that can be run" in played.answer.error


@pytest.mark.parametrize(
    "text",
    ["Answer: Paris", "Thought: clear\nFinal Answer: Paris", "Action: Finish[Paris]", "**Answer:** Paris"],
)
def test_the_ways_to_answer(text) -> None:
    assert play(react, [text]).answer.value == "Paris"


def test_examples_tell_a_turn_what_similar_queries_began_with() -> None:
    example = Example("Which?", 's1 = search(query="X")\ns2 = self(prompt="{s1}")')
    first = play(react, ["Answer: x"], examples=(example,)).requests[0].messages[0].text
    assert first.endswith('Query: Which?\nsearch(query="X")\n')


TOLD = """
# query: Which is larger, A or B?
s1 = search(query="A")
s2 = search(query="B")
s3 = measure(image="{s1} {s2}")
# Thought: I need A.
# Action: search(query="A")
# Observation: A is 5: large
# Thought: Next B.
# Action: search("B")
# Observation: B is 4
# Thought: I measure them.
# Action: measure(image="5 4")
# Observation: 5
# Thought: 5 is A's.
# Answer: A
"""


def test_the_trajectory_of_an_example_is_shown_in_place_of_the_general_ones() -> None:
    example = parse_examples(TOLD)
    messages = play(react, ["Answer: x"], examples=example).requests[0].messages
    assert "Similar queries" not in messages[0].text
    assert [message.text for message in messages[1:-1]] == [
        messages[-1].text.replace("Which is it?", "Which is larger, A or B?"),
        'Thought: I need A.\nAction: search(query="A")',
        "Observation: A is 5: large",
        'Thought: Next B.\nAction: search("B")',
        "Observation: B is 4",
        'Thought: I measure them.\nAction: measure(image="5 4")',
        "Observation: 5",
        "Thought: 5 is A's.\nAnswer: A",
    ]


def test_a_trajectory_is_shown_in_batches_too() -> None:
    example = parse_examples(TOLD.replace('search("B")', 'search(query="B")'))
    messages = play(parallel, ["Answer: x"], examples=example).requests[0].messages
    assert [message.text for message in messages[2:-1]] == [
        'search(query="A")\nsearch(query="B")',
        'Result of search(query="A"): A is 5: large\nResult of search(query="B"): B is 4',
        'measure(image="5 4")',
        'Result of measure(image="5 4"): 5',
        "Answer: A",
    ]


def test_a_trajectory_with_calls_that_are_not_offered_is_left_out() -> None:
    example = parse_examples(TOLD.replace("measure(", "fly("))
    first = play(react, ["Answer: x"], examples=example).requests[0].messages[0].text
    assert first.endswith('Query: Which is larger, A or B?\nsearch(query="A")\nsearch(query="B")\n')


@pytest.mark.parametrize(
    ("line", "instead", "says"),
    [
        ("# Thought: Next B.\n", "", "line 9: # Thought: ... is expected"),
        ("# Observation: B is 4\n", "", "line 11: # Observation: ... is expected"),
        ("# Observation: 5\n", "# Observation:\n", "line 14: # Observation: ... is expected"),
        ("# Answer: A\n", "", "line 15: what is told in turns ends with # Answer"),
        ("# Answer: A\n", "# Answer: A\n# Thought: B\n", "line 17: a blank line is expected"),
        ('search("B")', "search(", "line 10: search\\( is no call"),
        ('search("B")', "search(query=s1)", "line 10: .* is no call .s1 is not defined"),
    ],
)
def test_a_trajectory_that_is_none_says_where(line, instead, says) -> None:
    with pytest.raises(FunctionError, match=f"^some.plans, {says}"):
        parse_examples(TOLD.replace(line, instead), name="some.plans")


@pytest.mark.parametrize("technique", [react, parallel, toolcompiler])
def test_self_is_told_to_know_only_its_prompt(technique) -> None:
    told = play(technique, ["Answer: this"]).requests[0].messages[0].text
    assert "nothing else is known to it" in told
    assert "{s1}" not in told


def test_parallel_runs_a_batch_together_and_its_text_goes_on_with_the_results() -> None:
    played = play(parallel, ['search(query="A")\nsearch(query="B")', "Answer: both"])
    assert played.runs == ['s1 = search(query="A")\ns2 = search(query="B")']
    assert played.told == 'Result of search(query="A"): search of A\nResult of search(query="B"): search of B'
    assert played.answer.value == "both"


def test_native_tools_are_offered_with_their_schemas_and_answered_by_id() -> None:
    calls = (
        ToolCall("c1", "search", '{"query": "A"}'),
        ToolCall("c2", "measure", '{"image": "a.png"}'),
        ToolCall("c3", "search", "{"),
    )
    played = play(parallel, [Reply("", calls=calls), Reply("both")], calls_tools=True)
    assert [tool.name for tool in played.requests[0].tools] == list(FUNCTIONS)
    assert played.requests[0].tools[0].schema["required"] == ["query"]
    assert played.runs == ['s1 = search(query="A")\ns2 = measure(image="a.png")']
    said = played.requests[1].messages
    assert [call.arguments for call in said[-4].calls] == ['{"query": "A"}', '{"image": "a.png"}', "{}"]
    assert [message.answers for message in said[-3:]] == ["c1", "c2", "c3"]
    assert said[-3].text == "search of A"
    assert said[-1].text.startswith("Error: ")
    assert played.answer.value == "both"


def test_text_in_a_tool_call_is_never_a_reference() -> None:
    calls = (ToolCall("c1", "search", json.dumps({"query": "costs $1 {s1}"})),)
    played = play(parallel, [Reply("", calls=calls), Reply("x")], calls_tools=True)
    assert played.requests[1].messages[-1].text == "search of costs $1 {s1}"


def test_a_model_that_refuses_tools_is_asked_in_text() -> None:
    played = play(parallel, [Reply("", refused=True), 'search(query="A")', "Answer: a"], calls_tools=True)
    assert played.answer.value == "a"
    assert not played.requests[1].tools


def test_the_same_call_twice_in_a_batch_is_made_once() -> None:
    played = play(parallel, ['search(query="A")\nsearch(query="A")', "Answer: a"])
    assert played.runs == ['s1 = search(query="A")']
    assert played.told.count("search of A") == 2
    assert "already" not in played.told


def test_one_call_that_cannot_be_read_spoils_no_other() -> None:
    played = play(parallel, ['search(query="A")\nsearch(query="B"\nmeasure(image="c")', "Answer: a"])
    assert played.runs[0].startswith('s1 = search(query="A")')
    assert "Error" in played.told


@function(pure=True)
async def wiki(term: str) -> str:
    """Look a term up in the encyclopedia."""


@function(pure=True)
async def lexicon(word: str) -> str:
    """Look a term up in the lexicon."""


@function
async def write(path: str, text: str) -> None:
    """Write a text to a file."""


@function(kind="compute", pure=True)
def render_scene(term: str) -> str:
    """Look a term up in the scene."""


def test_functions_that_do_and_take_alike_are_fused_whatever_their_names() -> None:
    offered = fuse(as_functions([wiki, lexicon, write, render_scene]) | {"self": self_function("inout")})
    assert list(offered.offered) == ["wiki_or_lexicon", "write", "render_scene", "self"]
    assert list(offered.groups) == ["wiki_or_lexicon"]
    assert offered.offered["write"].parameters[0].name == "path"


def test_functions_that_take_or_return_other_things_stay_apart() -> None:
    @function(pure=True)
    async def search_all(query: str, k: int) -> str:
        """Search the encyclopedia for a topic."""

    @function(pure=True)
    async def search_ids(query: str) -> list[int]:
        """Search the encyclopedia for a topic."""

    assert fuse(FUNCTIONS | as_functions([search_all, search_ids])).groups.keys() == {"search_many"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("finish_order", "finish_task"), ("import_csv", "import_json"), ("view_3d", "show_3d")],
)
def test_a_fused_function_has_a_name_that_can_be_called(one, other) -> None:
    functions = {name: replace(FUNCTIONS["search"], name=name) for name in (one, other)}
    assert list(fuse(functions).groups) == [f"{one}_or_{other}"]
    text = f'{one}_or_{other}(operations=[{{"function": "{other}", "arguments": {{"query": "A"}}}}])'
    played = play(toolcompiler, [text, "Answer: x"], functions)
    assert played.runs == [f's1 = {other}(query="A")']


def test_what_is_offered_in_the_place_of_the_tasks_functions_is_no_answer() -> None:
    def renamed(wanted):
        return (replace(wanted, function="search"),)

    offered = {"finish": replace(FUNCTIONS["search"], name="finish")}
    played = play(lambda task: in_batches(task, offered, renamed), ['finish(query="A")', "Answer: x"])
    assert played.runs == ['s1 = search(query="A")']


def test_a_fused_call_is_taken_apart_and_run_together() -> None:
    operations = [
        {"function": "search", "arguments": {"query": "A"}},
        {"function": "search_news", "arguments": {"query": "B"}},
        {"function": "search_news", "query": "C"},
        {"function": "measure", "arguments": {}},
    ]
    text = f"search_many(operations={json.dumps(operations)})"
    played = play(toolcompiler, [text, "Answer: a"])
    assert played.runs == ['s1 = search(query="A")\ns2 = search_news(query="B")\ns3 = search_news(query="C")']
    assert "search_news of C" in played.told
    assert "search_many has an operation without one of its functions" in played.told


def test_a_fused_native_tool_call_is_answered_once_with_all_its_results() -> None:
    operations = [{"function": "search", "arguments": {"query": name}} for name in "AB"]
    call = ToolCall("c1", "search_many", json.dumps({"operations": operations}))
    played = play(toolcompiler, [Reply("", calls=(call,)), Reply("done")], calls_tools=True)
    schema = played.requests[0].tools[0].schema
    assert len(schema["properties"]["operations"]["items"]["anyOf"]) == 2
    assert played.requests[1].messages[-1].text == "search of A\nsearch of B"


@pytest.mark.parametrize(
    "written", ["search_many()", "search_many(operations=[])", "search_many(operations=[3])"]
)
def test_a_fused_call_without_operations_is_an_error(written) -> None:
    played = play(toolcompiler, [written, "Answer: a"])
    assert played.runs == []
    assert "search_many takes" in played.told


def test_text_in_quotes_is_never_structure() -> None:
    text = 'search(query="""Q: 6*7?\nAnswer: 42\nThought: of the day""")'
    for technique, written in ((parallel, text), (react, f"Action: {text}")):
        played = play(technique, [written, "Answer: done"])
        assert played.answer.value == "done"
        assert played.runs == ['s1 = search(query="Q: 6*7?\\nAnswer: 42\\nThought: of the day")']


def test_braces_in_a_turn_are_text() -> None:
    played = play(react, ['Action: search(query="{s1} {query} $1")', "Answer: x"])
    assert played.told == "Observation: search of {s1} {query} $1"


@pytest.mark.parametrize("name", ["finish", "observation", "thought"])
def test_a_function_may_have_a_markers_name(name) -> None:
    @function(name=name, pure=True)
    async def named(task: str) -> str:
        """Do it."""

    functions = as_functions([named]) | FUNCTIONS
    for technique, written in ((parallel, ""), (react, "Action: ")):
        played = play(technique, [f'{written}{name}(task="t1")', "Answer: x"], functions)
        assert played.runs == [f's1 = {name}(task="t1")']


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Answer: Held in May.\nResult of the vote: 5 to 4", "Held in May.\nResult of the vote: 5 to 4"),
        ("Answer: yes.\nThought leaders agree.", "yes.\nThought leaders agree."),
        ("Answer: yes\nObservation: invented", "yes"),
        ("Answer: **42**", "42"),
        ("**Answer:** 42", "42"),
        ("**Answer: 42**", "42"),
        ("**Answer**: **42**", "42"),
        ("**Answer:** **42**", "42"),
        ("*Answer:* **42**", "42"),
        ("**Final Answer:** The total is **42** dollars", "The total is **42** dollars"),
        ("Answer: **Paris** and **Rome**", "**Paris** and **Rome**"),
        ("Answer: 2**3", "2**3"),
        ('Action: Finish(answer="42")', "42"),
    ],
)
def test_an_answer_is_kept_whole(written, meant) -> None:
    assert play(react, [written]).answer.value == meant


@pytest.mark.parametrize(
    "text", ["f(1)\n" + "\n" * 20_000, "search(query=[\n" + "1,\n" * 10_000, " \n" * 20_000, "- " * 30_000]
)
def test_a_looping_model_is_read_in_no_time(text) -> None:
    began = time.process_time()
    for technique, written in ((parallel, text), (react, f"Action: {text}")):
        play(technique, [written, written])
    assert time.process_time() - began < 2


def test_an_error_is_told_as_what_it_is_each_time() -> None:
    played = play(react, ["Action: fly(x=1)", 'Action: search(query="k")', "Action: swim(y=2)", "Answer: x"])
    assert "swim" in played.told
    assert "already" not in played.told


def test_a_failed_call_may_be_made_again_and_not_for_ever() -> None:
    played = play(react, ['Action: search(query="nowhere")'] * 3)
    assert len(played.runs) == 3
    assert "repeated" in played.answer.error


def test_calls_that_touch_something_are_made_as_often_as_they_are_asked_for() -> None:
    @function(writes=["cursor"])
    async def search_next(query: str) -> str:
        """Take the next page."""

    call = ToolCall("c1", "search_next", '{"query": "a"}')
    other = ToolCall("c2", "search_next", '{"query": "a"}')
    functions = as_functions([search_next])
    played = play(parallel, [Reply("", calls=(call, other)), Reply("x")], functions, calls_tools=True)
    assert played.runs == ['s1 = search_next(query="a")\ns2 = search_next(query="a")']


def test_deeply_nested_arguments_are_an_error_of_their_call() -> None:
    calls = tuple(
        ToolCall(f"c{at}", "search", '{"query":' + "[" * depth + "]" * depth + "}")
        for at, depth in enumerate((60, 900, 9_000))
    )
    played = play(parallel, [Reply("", calls=calls), Reply("x")], calls_tools=True)
    assert played.runs == []
    assert all("nested too deeply" in message.text for message in played.requests[1].messages[-3:])


def test_an_answer_that_was_cut_off_is_none() -> None:
    played = play(react, [Reply("Answer: The three are Paris, Lon", "length")])
    assert not played.answer.answered
    assert played.answer.error == "the answer was cut off at the limit of tokens: The three are Paris, Lon"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Get the weather.", "Get the price."),
        ("Create a user account in the system.", "Delete a user account from the system."),
        ("Turn on the lights in a room.", "Turn off the lights in a room."),
        ("", ""),
    ],
)
def test_functions_that_do_other_things_stay_apart(one, other) -> None:
    async def get_weather(name: str) -> str: ...
    async def get_price(name: str) -> str: ...

    get_weather.__doc__, get_price.__doc__ = one, other
    assert not fuse(as_functions([get_weather, get_price])).groups


def test_descriptions_in_any_script_are_compared() -> None:
    async def one(name: str) -> str: ...
    async def other(name: str) -> str: ...

    one.__doc__, other.__doc__ = "Найти страницу в энциклопедии.", "Найти страницу в словаре."
    assert fuse(as_functions([one, other])).groups


@pytest.mark.parametrize(
    "operations",
    [
        '"[{\\"function\\": \\"search\\", \\"arguments\\": {\\"query\\": \\"A\\"}}]"',
        '{"function": "search", "arguments": {"query": "A"}}',
        '[{"id": 1, "function": "search", "arguments": {"query": "A"}}]',
    ],
)
def test_common_forms_of_operations_are_taken(operations) -> None:
    played = play(toolcompiler, [f"search_many(operations={operations})", "Answer: a"])
    assert played.runs == ['s1 = search(query="A")']


@pytest.mark.parametrize(
    "operations",
    [
        r'"[{\"function\": \"search\", \"arguments\": {\"query\": \"A\", \"query\": \"B\"}}]"',
        '[{"function": "search", "arguments": {"query": "A", "query": "B"}}]',
        '[{"function": "search", "function": "search_news", "arguments": {"query": "A"}}]',
    ],
)
def test_an_operation_that_says_a_thing_twice_is_told_so_and_not_made(operations) -> None:
    played = play(toolcompiler, [f"search_many(operations={operations})", "Answer: a"])
    assert played.runs == []
    assert "key repeated" in played.told
    call = ToolCall("c1", "search_many", f'{{"operations": {operations}}}')
    played = play(toolcompiler, [Reply("", calls=(call,)), Reply("done")], calls_tools=True)
    assert (played.runs, "key repeated" in played.told) == ([], True)


def test_a_native_call_with_an_argument_twice_is_told_so_and_not_made() -> None:
    call = ToolCall("c1", "search", '{"query": "A", "query": "B"}')
    played = play(parallel, [Reply("", calls=(call,)), Reply("done")], calls_tools=True)
    assert played.runs == []
    assert "keyword argument repeated: query" in played.told


class Item(BaseModel):
    name: str


def test_schemas_of_nested_models_can_be_resolved() -> None:
    @function(pure=True)
    async def order(items: list[Item], most: float = float("inf")) -> str:
        """Order items."""

    @function(pure=True)
    async def order_more(items: list[Item], most: float = 1.0) -> str:
        """Order more items."""

    functions = as_functions([order])
    schema = functions["order"].schema
    assert schema["$defs"]["Item"]["properties"].keys() == {"name"}
    assert "$defs" not in schema["properties"]["items"]
    json.dumps(schema, allow_nan=False)
    (fused,) = fuse(as_functions([order, order_more])).offered.values()
    text = json.dumps(fused.schema)
    assert "$ref" not in text
    assert text.count('"name": {"title": "Name", "type": "string"}') == 2
