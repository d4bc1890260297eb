"""What a model is told of a function: its real keys, choices and bounds; no secret, no address, few characters."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import json
import pathlib
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from annotated_doc import Doc
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, HttpUrl, InstanceOf, SecretStr
from pydantic.dataclasses import dataclass as pydantic_dataclass

from llmorch import FunctionError, Orchestrator, PlanError, function
from llmorch.declare.functions import declaration_of
from llmorch.plan import check, parse
from llmorch.techniques.grammar import plan_grammar
from llmorch.testing import ScriptedModel

KEY = "sk-live-abcdef0123456789"
UNTOLD = re.compile(
    r" at 0x|<[a-zA-Z_.]+ object|<class|<function|<factory>|FieldInfo|PydanticUndefined|functools\.partial"
)


class Unit(enum.Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


class Corner(enum.Enum):
    TOP = object()
    END = (1, 2)


Wide = enum.Enum("Wide", {f"LONG_NAME_{number}": f"a long value {number}" for number in range(200)})


@dataclass
class Place:
    city: str
    country: str = "DE"


class Trip(BaseModel):
    """A trip."""

    start: str = Field(alias="from", description="where it begins")
    days: int = Field(default=2, ge=1, le=9)


class Account(BaseModel):
    user: str
    api_key: str = KEY
    password: SecretStr = SecretStr("hush-hush")
    url: str = "https://ann:hunter2@host/path"


@dataclass
class Client:
    name: str = "ann"
    token: str = KEY
    nested: Account = field(default_factory=lambda: Account(user="ann"))


Deep = Annotated[int, Field(description="a number that is described at great length, " * 20)]


class Level4(BaseModel):
    a_rather_long_name: Deep = 1
    another_long_name: Wide = Wide.LONG_NAME_1  # type: ignore[attr-defined,valid-type]
    third_long_name: str = "a long default " * 10


class Level3(BaseModel):
    first: Level4
    second: Level4 | None = None
    third: list[Level4] = []


class Level2(BaseModel):
    first: Level3
    second: Level3
    third: dict[str, Level3] = {}


class Level1(BaseModel):
    first: Level2
    second: Level2


def plan_trip(
    trip: Trip,
    via: list[Trip],
    place: Place,
    unit: Unit = Unit.KELVIN,
    days: Annotated[int, Field(ge=1, le=9)] = 2,
    who: Annotated[str, "the traveller"] = "me",
    mood: Annotated[str | None, Doc("how one feels")] = None,
    much: int = Field(3, gt=0, description="how much"),
) -> str:
    """Plan a trip.

    Args:
        unit: Of the temperature.
    """
    return ""


def test_a_model_reads_keys_fields_choices_bounds_and_descriptions() -> None:
    told = declaration_of(plan_trip).prompt_text
    trip = '{"from": str (where it begins), "days": int (1 to 9) = 2}'
    assert told.signature == (
        f'plan_trip(trip: {trip}, via: list[{trip}], place: {{"city": str, "country": str = "DE"}}, '
        'unit: "celsius" | "kelvin" = "kelvin", days: int (1 to 9) = 2, who: str = "me", '
        "mood: str | None = None, much: int (more than 0) = 3) -> str"
    )
    assert told.line == (
        f"- {told.signature}: Plan a trip. "
        "(unit: Of the temperature.; who: the traveller; mood: how one feels; much: how much)"
    )


def test_native_tools_are_declared_with_the_same_keys_choices_and_bounds() -> None:
    properties = declaration_of(plan_trip).schema["properties"]
    assert list(properties["trip"]["properties"]) == ["from", "days"]
    assert properties["unit"]["enum"] == ["celsius", "kelvin"]
    assert (properties["unit"]["default"], properties["unit"]["description"]) == (
        "kelvin",
        "Of the temperature.",
    )
    assert (properties["days"]["minimum"], properties["days"]["maximum"]) == (1, 9)
    assert properties["much"] == {
        "type": "integer",
        "exclusiveMinimum": 0,
        "default": 3,
        "description": "how much",
    }


def test_a_grammar_has_the_same_keys_and_choices() -> None:
    grammar = plan_grammar({"plan_trip": declaration_of(plan_trip)})
    assert r'"\"from\""' in grammar
    assert r'"\"celsius\"" | "\"kelvin\""' in grammar
    assert "start" not in grammar


def test_a_refused_argument_is_answered_with_what_is_accepted() -> None:
    functions = {"plan_trip": declaration_of(plan_trip)}
    with pytest.raises(PlanError, match='trip: {"from": str'):
        check(parse('s1 = plan_trip(trip={"start": "Rome"}, via=[], place={"city": "Bonn"})'), functions)


SENTINEL = object()
SECRET_NAMES = (
    *("user_pass", "userpass", "pass_", "pass1", "db_pass_2", "pass_word", "pw", "userpw", "pswd", "creds"),
    *("authkey", "authKey", "privatekey", "accesskey", "secretkey", "AWS_SECRETKEY", "sshkeys", "master_key"),
    *("mypassword", "authtoken", "clientsecret", "APIKey", "webhook_secret", "otp", "cvv"),
)
PLAIN_NAMES = (
    *("bypass", "compass", "low_pass", "passport", "passenger", "pass_rate", "key", "monkey", "hockey"),
    *("keyword", "author", "tokenizer", "secretary", "spin"),
)
DEFAULTS: list[tuple[str, Any, Any, str]] = [
    # a name, a type, a default, and how it is told
    ("x", int, 3, "3"),
    ("x", str, "it's", '"it\'s"'),
    ("x", float, float("inf"), "..."),
    ("x", float, float("nan"), "..."),
    ("x", int, None, "None"),
    ("x", int, "auto", "'auto'"),
    ("x", list[str], [], "[]"),
    ("x", set[str], {"b", "a"}, '["a", "b"]'),
    ("x", tuple[int, int], (1, 2), "(1, 2)"),
    ("x", dict[str, int], {"a": 1}, "{'a': 1}"),
    ("x", bytes, b"ab", '"ab"'),
    ("x", bytes, b"\xff", "..."),
    ("x", Unit, Unit.KELVIN, '"kelvin"'),
    ("x", Corner, Corner.TOP, '"TOP"'),
    ("x", list[Unit], [Unit.KELVIN], '["kelvin"]'),
    ("x", dt.date, dt.date(2024, 5, 31), '"2024-05-31"'),
    ("x", dt.timedelta, dt.timedelta(hours=1), '"PT1H"'),
    ("x", pathlib.Path, pathlib.Path("a/b"), '"a/b"'),
    ("x", HttpUrl, HttpUrl("http://a.b/"), '"http://a.b/"'),
    ("x", Place, Place("Bonn"), '{"city": "Bonn", "country": "DE"}'),
    ("x", Trip, Trip(**{"from": "Rome"}), '{"from": "Rome", "days": 2}'),
    ("x", Account, Account(user="ann"), "..."),
    ("x", Client, Client(), "..."),
    ("x", Any, SENTINEL, "..."),
    ("x", Any, ..., "..."),
    ("x", int, SENTINEL, "..."),
    ("x", Any, len, "..."),
    ("x", type, int, "..."),
    ("x", Any, functools.partial(print, KEY), "..."),
    ("x", range, range(3), "..."),
    ("x", Any, dataclasses.MISSING, "..."),
    ("x", list[int], list(range(10_000)), "..."),
    ("x", Any, [SENTINEL], "..."),
    ("api_key", str, "abc", "..."),
    ("apiKey", str, "abc", "..."),
    ("openai_api_key", str, "abc", "..."),
    ("token", str, "abc", "..."),
    ("access_token", str | None, "abc", "..."),
    ("secret", str, "abc", "..."),
    ("client_secret", str, "abc", "..."),
    ("password", str, "abc", "..."),
    ("db_passwd", str, "abc", "..."),
    ("credentials", dict, {"user": "ann"}, "..."),
    ("password", SecretStr, SecretStr("abc"), "..."),
    ("auth", tuple, ("ann", "abc"), "..."),
    ("x", str, KEY, "..."),
    ("x", str, "ghp_0123456789abcdefghij", "..."),
    ("x", str, "AKIAIOSFODNN7EXAMPLE", "..."),
    ("x", str, "eyJhbGciOi.eyJzdWIiOi.c2ln", "..."),
    ("x", str, "Bearer abcdef", "..."),
    ("x", str, "0123456789abcdef0123456789abcdef", "..."),
    ("x", str, "postgres://ann:hunter2@host/db", "..."),
    ("x", str, "https://host/?token=abc", "..."),
    ("x", str, "Server=a;Password=b;", "..."),
    ("headers", dict, {"Authorization": "abc"}, "..."),
    ("x", list[str], ["a", KEY], "..."),
    *((name, str, "abc", "...") for name in SECRET_NAMES),
    *((name, str, "x", "'x'") for name in PLAIN_NAMES),
    ("pin", int, 4711, "..."),
    ("pin", list[int], [4, 7, 1, 1], "..."),
    ("pin_code", float, 4711.5, "..."),
    ("login", dict[str, int], {"pin": 4711}, "..."),
    ("passwd", bytes, b"abc", "..."),
    ("password_length", int, 12, "12"),
    ("token_limit", int, 99, "99"),
    ("token", bool, True, "True"),
    ("max_tokens", int, 512, "512"),
    ("token", str, "", "''"),
    ("password", str, None, "None"),
    ("key", str, "title", "'title'"),
    ("model", str, "gpt-4o-mini-2024-07-18", "'gpt-4o-mini-2024-07-18'"),
    ("url", str, "https://host/path", "'https://host/path'"),
]


def _with_default(name: str, annotation: Any, default: Any) -> Any:
    made: dict[str, Any] = {"default": default}
    exec(f"def f({name}=default): return {name}", made)
    made["f"].__annotations__ = {name: annotation}
    return made["f"]


@pytest.mark.parametrize(("name", "annotation", "default", "told"), DEFAULTS)
def test_a_default_is_told_if_a_plan_can_write_it_and_it_is_no_secret(
    name, annotation, default, told
) -> None:
    declared = declaration_of(_with_default(name, annotation, default))
    shown = declared.signature.removesuffix(")").rpartition(" = ")[2]
    assert shown == told
    tool = json.dumps(declared.schema)
    for secret in (KEY, "hunter2", "hush-hush", "abc"):
        assert secret not in declared.prompt_text.line
        assert secret not in tool
    assert not UNTOLD.search(declared.prompt_text.line + tool)
    if told != "...":  # what the signature shows can be written in a plan
        check(parse(f"s1 = f({name}={shown})"), {"f": declared})


def _many(name: str, count: int, annotation: str, rest: str = "") -> Any:
    made: dict[str, Any] = dict(globals())
    taken = ", ".join(f"{name}{number}: {annotation}" for number in range(count))
    exec(f"def f({taken}{rest}): ...", made)
    return made["f"]


LARGE = {
    "deep": _many("x", 1, "Level1"),
    "deep twice": _many("x", 2, "Level1"),
    "a wide enum": _many("x", 3, "Wide"),
    "a wide choice": _many("x", 2, f"Literal[{', '.join(repr(f'a value {n}') for n in range(100))}]"),
    "long descriptions": _many("x", 4, "Deep"),
    "many parameters": _many("parameter", 30, "Trip"),
    "many optional ones": _many("needed", 2, "str", ", " + ", ".join(f"p{n}: str = 'x'" for n in range(100))),
    "long defaults": _many("x", 1, "str", f", y: str = {'a word ' * 100!r}"),
    "secrets below": _many("x", 1, "Client", ", y: Account = Account(user='ann')"),
}


@pytest.mark.parametrize("form", LARGE)
def test_a_function_takes_five_hundred_characters_at_most(form: str) -> None:
    declared = declaration_of(LARGE[form])
    told = declared.prompt_text
    assert len(told.line) <= 500
    assert told.signature in told.line
    assert not UNTOLD.search(told.line)
    for name in declared.required:
        assert name in told.signature
    tool = json.dumps(declared.schema)
    assert not UNTOLD.search(tool)
    for secret in (KEY, "hunter2", "hush-hush"):
        assert secret not in told.line + tool


def test_a_long_docstring_is_told_as_it_is() -> None:
    def explained(x: int) -> int:
        return x

    explained.__doc__ = "It does what it does, and that at length. " * 40
    told = declaration_of(explained).prompt_text
    assert told.line == f"- explained(x: int) -> int: {explained.__doc__.strip()}"


def test_two_types_of_one_name_do_not_get_into_each_others_way() -> None:
    def make(inner: Any) -> Any:
        class Item(BaseModel):
            value: inner
            more: list[Item] = []

        return Item

    def both(one: Any, other: Any) -> None: ...

    both.__annotations__ = {"one": make(int), "other": make(str)}
    try:
        schema = declaration_of(both).schema
    except FunctionError:  # pragma: no cover - local classes that name themselves
        pytest.fail("a model may contain itself")
    values = [definition["properties"]["value"]["type"] for definition in schema["$defs"].values()]
    assert sorted(values) == ["integer", "string"]


def test_a_default_of_a_field_is_what_the_function_gets_each_time_anew() -> None:
    @function
    def count(
        items: list[str] = Field(default_factory=list),  # noqa: B008 - as pydantic's users write it
        step: int = Field(2, ge=1),
    ) -> int:
        """Count."""
        items.append("one more")
        return len(items) * step

    @function
    def double(n: int = Field(description="a number", ge=1)) -> int:
        """Double."""
        return 2 * n

    @count.batch
    def count_all(calls: list[dict[str, Any]]) -> list[int]:
        return [len(call["items"]) * call["step"] for call in calls]

    orchestrator = Orchestrator([count, double], model=ScriptedModel(["x"]), learn=False)
    assert (
        orchestrator.functions["count"].signature
        == "count(items: list[str] = ..., step: int (at least 1) = 2) -> int"
    )
    assert orchestrator.functions["double"].required == ("n",)
    for _ in range(2):
        assert orchestrator.execute_sync("s1 = count()").answer == 2
    several = orchestrator.execute_sync("s1 = count()\ns2 = count(step=3)\ns3 = count(items=['a'])")
    assert [call.error for call in several.calls] == [None, None, None]
    for plan in ("s1 = double()", "s1 = double(n=-4)", "s1 = count(step=0)"):
        with pytest.raises(PlanError):
            orchestrator.execute_sync(plan)


def test_a_default_of_ones_own_goes_before_that_of_a_field() -> None:
    def count(items: Annotated[list[str], Field(default_factory=list)] = ["a"]) -> int:  # noqa: B006 - it is kept
        return len(items)

    orchestrator = Orchestrator([count], learn=False)
    assert orchestrator.functions["count"].signature == "count(items: list[str] = ['a']) -> int"
    assert orchestrator.execute_sync("s1 = count()").answer == 1


def test_a_default_that_is_not_of_its_type_may_be_written_out() -> None:
    def weather(city: str, days: int = None, units: str = None, k: int = "auto") -> str:  # type: ignore[assignment]  # noqa: RUF013
        return f"{city} {days} {units} {k}"

    orchestrator = Orchestrator([weather], model=ScriptedModel(["x"]), learn=False)
    declared = orchestrator.functions["weather"]
    assert (
        declared.signature
        == "weather(city: str, days: int = None, units: str = None, k: int = 'auto') -> str"
    )
    assert declared.schema["properties"]["days"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert '"days=" ((whole) | ("None"))' in plan_grammar({"weather": declared})
    for rest in ("", ", days=None, units=None, k='auto'"):
        assert orchestrator.execute_sync(f's1 = weather(city="Bonn"{rest})').answer == "Bonn None None auto"
    given = orchestrator.execute_sync(
        's1 = weather(city="Bonn")\ns2 = weather(city="Rome", days=3, units=s1)'
    )
    assert given.calls[-1].result == "Rome 3 Bonn None None auto auto"
    with pytest.raises(PlanError):
        orchestrator.execute_sync('s1 = weather(city="Bonn", k="some")')


def test_choices_of_plain_values_are_told_as_python_has_them() -> None:
    def aes(action: Literal["encrypt", "decrypt"], file: str) -> dict[str, Any]: ...

    assert declaration_of(aes).signature == (
        "aes(action: Literal['encrypt', 'decrypt'], file: str) -> dict[str, Any]"
    )


def test_plain_types_are_declared_and_told_without_pydantic() -> None:
    import subprocess
    import sys

    program = (
        "import sys\n"
        "from typing import Any, Literal, Optional\n"
        "from llmorch import function\n"
        "from llmorch.declare.offered import declared_in\n"
        "@function\n"
        "def f(a: str, b: list[int], c: Optional[dict[str, float]] = None, d: Literal['x', 3] = 'x',\n"
        "      e: tuple[int, ...] | None = None, g: Any = 1, h: bool = False) -> list[str]: ...\n"
        "declared_in(f).prompt_text.line\n"
        "assert 'pydantic' not in sys.modules, 'pydantic was imported'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class Passed(BaseModel):
    """Keys that are not what they are called."""

    start: str = Field(alias="from")
    depth: int = Field(0, validation_alias=AliasPath("place", "depth"))
    height: int = Field(validation_alias=AliasPath("place", "height"))
    second: int = Field(0, validation_alias=AliasPath("pair", 1))
    last: int = Field(0, validation_alias=AliasPath("row", -1))
    code: int = Field(validation_alias=AliasChoices(AliasPath("x", "y"), "kode", "KODE"))


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)
    start: str = Field(alias="from")
    trip: Trip | None = None


class ByBoth(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    start: str = Field(alias="from")
    depth: int = Field(validation_alias=AliasPath("place", "depth"))


@dataclass
class Filled:
    city: str
    since: dataclasses.InitVar[int] = 1
    number: int = field(init=False, default=9)


@pydantic_dataclass
class Renamed:
    start: str = Field(alias="from")


class Odd(BaseModel):
    default: Unit
    metadata: Unit
    type: Unit
    config: ByName


KEYS: list[tuple[Any, str, Any, list[Any]]] = [
    # a type, how it is told, a literal of it, and literals that are not told and are refused
    (
        Passed,
        '{"from": str, "kode": int, "place": {"depth": int = 0, "height": int}, '
        '"pair": [any, int] = ..., "row": list = ...}',
        {"from": "a", "kode": 1, "place": {"height": 2}, "pair": [0, 3]},
        [{"start": "a", "kode": 1, "place": {"height": 2}}, {"from": "a", "code": 1, "height": 2}],
    ),
    (
        ByName,
        '{"start": str, "trip": {"from": str (where it begins), "days": int (1 to 9) = 2} | None = None}',
        {"start": "a", "trip": {"from": "b"}},
        [{"from": "a"}],
    ),
    (ByBoth, '{"from": str, "depth": int}', {"from": "a", "depth": 1}, [{"from": "a"}]),
    (list[Filled], 'list[{"city": str, "since": int = 1}]', [{"city": "a", "since": 2}], []),
    (Renamed, '{"from": str}', {"from": "a"}, [{"start": "a"}]),
    (InstanceOf[Trip], '{"from": str (where it begins), "days": int (1 to 9) = 2}', {"from": "a"}, [{}]),
    (
        Odd,
        '{"default": "celsius" | "kelvin", "metadata": "celsius" | "kelvin", "type": "celsius" | "kelvin", '
        '"config": {"start": str, "trip": {"from": str (where it begins), "days": int (1 to 9) = 2} | None = None}}',
        {"default": "KELVIN", "metadata": "KELVIN", "type": "kelvin", "config": {"start": "a"}},
        [],
    ),
]


@pytest.mark.parametrize(("annotation", "told", "literal", "refused"), KEYS, ids=str)
def test_the_keys_that_are_told_are_those_that_are_accepted(annotation, told, literal, refused) -> None:
    def f(x: Any) -> bool:
        return not isinstance(x, dict)

    f.__annotations__["x"] = annotation
    orchestrator = Orchestrator([f], learn=False)
    declared = orchestrator.functions["f"]
    assert declared.signature == f"f(x: {told}) -> bool"
    assert all(f'"{key}"' in json.dumps(declared.schema) for key in re.findall(r'"(\w+)": ', told))
    given = orchestrator.execute_sync(f"s1 = f(x={literal!r})")
    assert (given.answer, given.error) == (True, None)
    for other in refused:
        with pytest.raises(PlanError):
            orchestrator.execute_sync(f"s1 = f(x={other!r})")


@pytest.mark.parametrize(
    ("default", "told"),
    [
        (ByName(start="a"), '{"start": "a", "trip": None}'),
        (Trip(**{"from": "a"}), '{"from": "a", "days": 2}'),
        (Renamed(**{"from": "a"}), '{"from": "a"}'),
        (Filled("a"), '{"city": "a"}'),
        (Passed(**{"from": "a", "kode": 1, "place": {"height": 2}}), "..."),
    ],
    ids=str,
)
def test_a_default_is_told_by_the_keys_that_are_accepted(default: Any, told: str) -> None:
    declared = declaration_of(_with_default("x", type(default), default))
    assert declared.signature.endswith(f" = {told})")
    if told != "...":
        check(parse(f"s1 = f(x={told})"), {"f": declared})


class Options(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"x-note": KEY, "examples": [{"name": "a", "api_key": "abc"}]}
    )
    name: str = Field("ann", examples=["ann", KEY], json_schema_extra={"example": KEY, "note": KEY})
    api_key: str = Field("", examples=["abc"])
    pin: int = Field(4711, json_schema_extra={"examples": [4711]})
    when: str = Field("", examples=["2024-05-31"])


def test_no_value_in_a_native_tool_is_a_secret() -> None:
    def ask(
        options: Options,
        key: Annotated[str, Field(examples=[KEY], json_schema_extra={"example": KEY})] = "a",
        password: Annotated[str, Field(examples=["abc"])] = "",
    ) -> str: ...

    tool = json.dumps(declaration_of(ask).schema)
    assert not [secret for secret in (KEY, "abc", "4711", "note") if secret in tool]
    assert "2024-05-31" in tool


class Wordy(BaseModel):
    """A model. It is described at length, and more than that."""

    title: str = Field("t", title="t" * 3000, description="d" * 3000, examples=["e" * 900] * 9)
    body: str = Field("b" * 9000, examples=["e"] * 3000)


Wordy.__doc__ = "d" * 3000


@pytest.mark.parametrize(
    "form",
    [
        _many("x", 1, "int", f", y: str = {'x' * 9000!r}"),
        _many("x", 1, "Annotated[int, Field(description='d' * 3000)]"),
        _many("x", 9, "Annotated[int, 'd' * 3000]"),
        _many("x", 1, "Annotated[str, Field(examples=['e' * 90] * 90)]"),
        _many("x", 1, "Wordy"),
        _many("x", 12, "Annotated[int, Field(description='d' * 300)]"),
    ],
)
def test_a_native_tool_says_no_more_than_there_is_room_for(form: Any) -> None:
    declared = declaration_of(form)
    tool = json.dumps(declared.schema)
    assert len(tool) < 2_000
    assert declared.schema["required"] == list(declared.required)
    assert list(declared.schema["properties"]) == [item.name for item in declared.parameters]


def test_a_native_tool_has_the_whole_docstring_and_short_values() -> None:
    def explained(x: int = 3, y: str = "a value") -> int:
        return x

    said = "What it is, at length. " * 60
    explained.__doc__ = f"Explain.\n\nArgs:\n    x: {said}\n    y: A word."
    properties = declaration_of(explained).schema["properties"]
    assert properties["x"] == {"type": "integer", "description": said, "default": 3}
    assert properties["y"] == {"type": "string", "description": "A word.", "default": "a value"}


def test_ways_that_are_told_apart_by_a_key_keep_their_own_definitions() -> None:
    def pet(usual: str) -> Any:
        class Cat(BaseModel):
            kind: Literal["cat"]
            color: str = usual

        class Dog(BaseModel):
            kind: Literal["dog"]

        return Annotated[Cat | Dog, Field(discriminator="kind")]

    def swap(one, other): ...

    swap.__annotations__ = {"one": pet("black"), "other": pet("white")}
    schema = declaration_of(swap).schema
    assert [schema["properties"][name]["discriminator"]["mapping"] for name in ("one", "other")] == [
        {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"},
        {"cat": "#/$defs/Cat2", "dog": "#/$defs/Dog"},
    ]
