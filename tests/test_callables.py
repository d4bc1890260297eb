"""Callables of every form: each is offered as its author meant it, or refused when it is declared."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import math
import textwrap
import threading
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple
from unittest.mock import Mock, create_autospec

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field

from llmorch import FunctionError, Orchestrator, PlanError, function, stateful
from llmorch.declare.functions import declaration_of
from llmorch.declare.offered import as_functions, declared_in
from llmorch.testing import ScriptedModel

SECRET = "sk-secret-1234"  # what a model must never see


def returns(n: int, step: float = 0.5) -> float:
    """Step on from a number."""
    return n + step


def raises(n: int, step: float = 0.5) -> float:
    """Step on from a number."""
    raise ValueError(f"no step from {n}")


def nothing(n: int, step: float = 0.5) -> None:
    """Step on from a number."""


def yields(n: int, step: float = 0.5) -> Iterator[float]:
    """Step on from a number."""
    yield n
    yield n + step


async def waits(n: int, step: float = 0.5) -> float:
    """Step on from a number."""
    await asyncio.sleep(0)
    return n + step


def hands_on(n: int, step: float = 0.5) -> Any:
    """Step on from a number."""
    return waits(n, step)


def anything(**options: int) -> None: ...


BODIES = (returns, raises, nothing, yields, waits, hands_on)
REFUSED = "refused"


def _copied(body: Callable[..., Any]) -> Any:
    """The same function once more, so that what is said of one is not said of another."""
    made = types.FunctionType(body.__code__, body.__globals__, body.__name__, body.__defaults__)
    made.__doc__, made.__annotations__ = body.__doc__, body.__annotations__
    return made


def _as_lambda(body: Callable[..., Any]) -> Any:
    return lambda n, step=0.5: body(n, step)


def _with_key(body: Callable[..., Any]) -> Any:
    if body is waits:

        async def waiting(key: str, n: int, step: float = 0.5) -> float:
            """Step on from a number."""
            return await waits(n, step)

        return functools.partial(waiting, SECRET)

    def keyed(key: str, n: int, step: float = 0.5) -> Any:
        """Step on from a number."""
        return body(n, step)

    return functools.partial(keyed, SECRET)


def _wrapper(body: Callable[..., Any]) -> Any:
    @functools.wraps(body)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return body(*args, **kwargs)

    return wrapper


def _own_parameters(body: Callable[..., Any]) -> Any:
    @functools.wraps(body)
    def wrapper(n):  # type: ignore[no-untyped-def]
        return body(n, 0.5)

    return wrapper


def _async_wrapper(body: Callable[..., Any]) -> Any:
    @functools.wraps(body)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        made = body(*args, **kwargs)
        return await made if inspect.isawaitable(made) else made

    return wrapper


def _sync_wrapper(body: Callable[..., Any]) -> Any:
    @functools.wraps(body)
    def wrapper(n, step=0.5):  # type: ignore[no-untyped-def]
        made = body(n, step)

        async def awaited() -> Any:
            return await made

        return asyncio.run(awaited()) if inspect.isawaitable(made) else made

    return wrapper


def _classes(body: Callable[..., Any]) -> Any:
    class Steps:
        """Steps on."""

        def __init__(self) -> None:
            self.key = SECRET

        if inspect.iscoroutinefunction(body):

            async def __call__(self, n: int, step: float = 0.5) -> float:
                """Step on from a number."""
                return await body(n, step)

            async def go(self, n: int, step: float = 0.5) -> float:
                """Step on from a number."""
                return await body(n, step)

        else:

            def __call__(self, n: int, step: float = 0.5) -> Any:
                """Step on from a number."""
                return body(n, step)

            def go(self, n: int, step: float = 0.5) -> Any:
                """Step on from a number."""
                return body(n, step)

        on = functools.partialmethod(go, step=0.5)
        static = staticmethod(_copied(body))

    def of_class(cls, n: int, step: float = 0.5) -> Any:  # type: ignore[no-untyped-def]
        """Step on from a number."""
        return body(n, step)

    Steps.of_class = classmethod(of_class)  # type: ignore[assignment]
    return Steps


def _slots(body: Callable[..., Any]) -> Any:
    class Steps(_classes(body)):  # type: ignore[misc]
        __slots__ = ()

    class Bare:
        __slots__ = ("key",)
        __call__ = Steps.__call__

    return Bare()


def _signed(body: Callable[..., Any]) -> Any:
    wrapper: Any = _wrapper(body)
    wrapper.__signature__ = inspect.signature(body)
    return wrapper


FORMS: dict[str, tuple[Callable[[Callable[..., Any]], Any], str]] = {
    "plain": (_copied, "(n: int, step: float = 0.5)"),
    "lambda": (_as_lambda, "(n: any, step: any = 0.5)"),
    "partial_by_name": (lambda body: functools.partial(body, step=0.5), "(n: int)"),
    "partial_by_place": (_with_key, "(n: int, step: float = 0.5)"),
    "partial_of_partial": (
        lambda body: functools.partial(functools.partial(body, step=9), step=0.5),
        "(n: int)",
    ),
    "wrapper": (_wrapper, "(n: int, step: float = 0.5)"),
    "wrapper_with_its_own": (_own_parameters, "(n: int)"),
    "cached": (functools.lru_cache(maxsize=8), "(n: int, step: float = 0.5)"),
    "dispatched": (functools.singledispatch, REFUSED),
    "context": (contextmanager, REFUSED),
    "object": (lambda body: _classes(body)(), "(n: int, step: float = 0.5)"),
    "object_with_slots": (_slots, "(n: int, step: float = 0.5)"),
    "method": (lambda body: _classes(body)().go, "(n: int, step: float = 0.5)"),
    "of_class": (lambda body: _classes(body).of_class, "(n: int, step: float = 0.5)"),
    "static": (lambda body: _classes(body).static, "(n: int, step: float = 0.5)"),
    "without_object": (lambda body: _classes(body).go, REFUSED),
    "method_in_part": (lambda body: _classes(body)().on, "(n: int)"),
    "async_wrapper": (_async_wrapper, "(n: int, step: float = 0.5)"),
    "sync_wrapper": (_sync_wrapper, "(n: int, step: float = 0.5)"),
    "signed": (_signed, "(n: int, step: float = 0.5)"),
}
ASYNC = {"async_wrapper": BODIES, "sync_wrapper": (), "wrapper": (), "wrapper_with_its_own": (), "cached": ()}


@pytest.fixture(scope="module")
def offered() -> Iterator[tuple[Orchestrator, dict[str, str]]]:
    """Every form of every body, also computed in a process; and what was said of those that were refused."""
    functions, refused = [], {}
    for form, (make, _) in FORMS.items():
        for body in BODIES:
            name = f"{form}_{body.__name__}"
            for kind in ("inout", "compute"):
                called = name if kind == "inout" else f"computed_{name}"
                try:
                    item = function(name=called, kind=kind)(make(body))
                    functions += as_functions([item]).values()
                except FunctionError as error:
                    refused[called] = str(error)
    orchestrator = Orchestrator(functions, model=ScriptedModel(["x"]), learn=False, processors=1)
    yield orchestrator, refused
    asyncio.run(orchestrator.close())


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
@pytest.mark.parametrize("form", FORMS)
def test_a_callable_of_any_form_is_offered_as_it_is_or_refused_in_one_line(form, body, offered) -> None:
    orchestrator, refused = offered
    name = f"{form}_{body.__name__}"
    if FORMS[form][1] is REFUSED:
        for called in (name, f"computed_{name}"):
            assert refused[called].startswith(f"{called}: ")
            assert "\n" not in refused[called]
        return
    declared = orchestrator.functions[name]
    assert declared.signature.startswith(f"{name}{FORMS[form][1]}")
    assert declared.description == ("" if form == "lambda" else "Step on from a number.")
    assert SECRET not in declared.prompt_text.line
    if form in ASYNC:
        assert declared.is_async is (body in ASYNC[form])
    for called in (name, f"computed_{name}"):
        result = orchestrator.execute_sync(f"s1 = {called}(n=3)")
        if body is raises:
            assert "no step from 3" in result.error
        else:
            assert result.error is None
            expected = {nothing: None, yields: [3, 3.5]}.get(body, 3.5)
            assert result.calls["s1"].result == expected


def test_a_wrapper_tells_the_type_of_the_result_of_what_it_wraps() -> None:
    assert declaration_of(_wrapper(yields)).signature == "yields(n: int, step: float = 0.5) -> list[float]"
    assert (
        declaration_of(functools.partial(nothing)).signature == "nothing(n: int, step: float = 0.5) -> None"
    )


class Account:
    """An account."""

    number = 7

    def deposit(self, amount: float) -> float:
        """Pay in."""
        return amount

    @function(pure=True)
    @staticmethod
    def rate(years: int) -> float:
        """The rate."""
        return years / 100

    @staticmethod
    @function(pure=True)
    def bonus(years: int) -> float:
        """The bonus."""
        return years / 10

    @function(pure=True)
    @classmethod
    def kind(cls, of: str) -> str:
        """The kind."""
        return f"{cls.__name__} {of}"

    deposit_one = functools.partialmethod(deposit, 1.0)

    @property
    def balance(self) -> float:
        return 1.0


@dataclass
class Point:
    x: int
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    a: int
    b: str = "x"


class Trip(BaseModel):
    start: str = Field(alias="origin", description="where it begins")
    days: int = Field(default=2, ge=1)
    via: list[str] = Field(default_factory=list)


class Counter:
    """Counts from a start."""

    def __init__(self, start: int, *, step: int = 1) -> None:
        self.start = start


class Named:
    """Looks names up."""

    def __call__(self, name: str) -> str:
        return name


@pytest.mark.parametrize(
    ("call", "signature", "description"),
    [
        (Point, 'Point(x: int, tags: list[str] = ...) -> {"x": int, "tags": list[str]}', ""),
        (Pair, 'Pair(a: int, b: str = \'x\') -> {"a": int, "b": str}', ""),
        (
            Trip,
            "Trip(origin: str, days: int (at least 1) = 2, via: list[str] = ...) -> "
            '{"start": str, "days": int, "via": list[str]}',
            "",
        ),
        (Counter, "Counter(start: int, step: int = 1) -> Counter", "Counts from a start."),
        (Named(), "Named(name: str) -> str", "Looks names up."),
        (functools.partial(Point, tags=[]), 'Point(x: int) -> {"x": int, "tags": list[str]}', ""),
        (Account().deposit, "deposit(amount: float) -> float", "Pay in."),
        (Account.rate, "rate(years: int) -> float", "The rate."),
        (Account.bonus, "bonus(years: int) -> float", "The bonus."),
        (Account.kind, "kind(of: str) -> str", "The kind."),
        (create_autospec(returns), "returns(n: int, step: float = 0.5) -> float", ""),
        ("a".upper, "upper()", "Return a copy of the string converted to uppercase."),
    ],
    ids=lambda item: getattr(item, "__name__", "") if callable(item) else "",
)
def test_what_is_told_of_a_class_a_method_or_an_object_is_its_authors(call, signature, description) -> None:
    (declared,) = as_functions([call]).values()
    assert (declared.signature, declared.description) == (signature, description)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            Account.deposit,
            "deposit: Account.deposit is a method without its object; offer one of an object, ",
        ),
        (functools.partial(Account.deposit, amount=1), "deposit: Account.deposit is a method without"),
        (Account.deposit_one, "deposit: Account.deposit is a method without its object"),
        (str.upper, "upper: str.upper is a method without its object"),
        (Account.balance, "balance: a property is no function; offer a method that returns it"),
        (vars(Account)["kind"], "kind: it belongs to a class that is not made yet"),
        (functools.partialmethod(Account.deposit, 1), "deposit: it belongs to a class"),
        (math.sqrt, "sqrt: parameter x takes no name, and a plan passes every argument by its name; offer a"),
        (
            print,
            "print: *args takes arguments without names, and a plan passes every argument by its name; o",
        ),
        (
            anything,
            "anything: **options takes arguments of any name, so nobody can tell a model which; offer",
        ),
        (_wrapper(Account.deposit), "deposit: Account.deposit is a method without its object; offer one of"),
        (_wrapper(_wrapper(Account.deposit)), "deposit: Account.deposit is a method without its object"),
        (functools.cache(_wrapper(Account.deposit)), "deposit: Account.deposit is a method without its"),
        (int, "int: its signature can't be read: "),
        (
            Mock(),
            "Mock: *args takes arguments without names, and a plan passes every argument by its name; of",
        ),
        (lambda x: x, "<lambda>: a function needs a plain name to be called by in a plan; give one by name="),
        (functools.partial(returns, 1, 2, 3), "returns: the arguments that are bound don't fit returns"),
        (functools.partial(returns, key=SECRET), "returns: the arguments that are bound don't fit returns"),
        (asynccontextmanager(yields), "yields: it gives a context manager; offer a function that enters it"),
        (
            functools.singledispatch(returns),
            "returns: singledispatch takes its first argument without a name",
        ),
    ],
    ids=str,
)
def test_what_can_not_be_offered_is_refused_in_one_line_that_names_it(call, said) -> None:
    with pytest.raises(FunctionError) as raised:
        as_functions([call])
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)
    assert SECRET not in str(raised.value)
    assert " at 0x" not in str(raised.value)


def test_a_bound_method_can_be_declared_although_it_takes_no_attributes() -> None:
    account = Account()
    declared = function(pure=True, timeout=3)(account.deposit)
    assert declared(2.0) == 2.0
    (offered,) = as_functions([declared]).values()
    assert (offered.pure, offered.timeout, offered.call) == (True, 3, account.deposit)


def test_a_bound_method_of_a_stateful_object_keeps_what_its_class_says() -> None:
    @stateful(writes=["account:{self.number}"])
    class Safe(Account):
        pass

    for form in (function(timeout=None)(Safe().deposit), functools.partial(Safe().deposit, amount=2.0)):
        (declared,) = as_functions([form]).values()
        assert declared.writes == ("account:7",)


def test_the_methods_of_a_stateful_object_may_be_bound_in_part_or_cached() -> None:
    @stateful
    class Shelf:
        def put(self, name: str, count: int = 1) -> str:
            """Put it."""
            return f"{count} {name}"

        put_two = functools.partialmethod(put, count=2)

        @functools.lru_cache  # noqa: B019
        def look(self, name: str) -> str:
            """Look at it."""
            return name

    functions = as_functions([Shelf()])
    assert [item.signature for item in functions.values()] == [
        "put(name: str, count: int = 1) -> str",
        "put_two(name: str) -> str",
        "look(name: str) -> str",
    ]


def test_a_partial_takes_what_is_left_with_the_types_and_words_of_its_function() -> None:
    class City(BaseModel):
        name: str

    def weather(place: City, days: int = 3, *, api_key: str) -> str:
        """The weather of a place.

        Args:
            place: Where.
            api_key: Of the service.
        """
        return f"{place.name} for {days} days"

    ask = function(name="ask")(functools.partial(weather, api_key=SECRET))
    orchestrator = Orchestrator([ask], model=ScriptedModel(["x"]), learn=False)
    assert orchestrator.functions["ask"].prompt_text.line == (
        '- ask(place: {"name": str}, days: int = 3) -> str: The weather of a place. (place: Where.)'
    )
    assert orchestrator.execute_sync('s1 = ask(place={"name": "Bonn"})').answer == "Bonn for 3 days"
    for plan in ("s1 = ask(place=3)", f's1 = ask(place={{"name": "Bonn"}}, api_key="{SECRET}")'):
        with pytest.raises(PlanError):
            orchestrator.execute_sync(plan)


def test_a_coroutine_of_the_old_kind_is_awaited() -> None:
    @types.coroutine
    def old(n: int) -> Generator[Any, Any, int]:
        yield from asyncio.sleep(0).__await__()
        return n

    orchestrator = Orchestrator([old], model=ScriptedModel(["x"]), learn=False)
    assert orchestrator.functions["old"].signature == "old(n: int) -> int"
    assert orchestrator.execute_sync("s1 = old(n=3)").answer == 3


def test_a_partial_of_a_declared_function_keeps_what_was_declared_of_it() -> None:
    @function(writes=["file:{path}"], idempotent=True)
    def write(path: str, text: str) -> None: ...

    (declared,) = as_functions([functools.partial(write, path="a.txt")]).values()
    assert (declared.signature, declared.writes, declared.idempotent) == (
        "write(text: str) -> None",
        ("file:a.txt",),
        True,
    )


def test_a_declaration_is_of_one_class_or_object_alone() -> None:
    @function(name="make", pure=True)
    class Base:
        def __init__(self, x: int) -> None: ...

        def __call__(self, y: int) -> int:
            return y

    class Derived(Base): ...

    assert declared_in(Base).name == "make"
    assert declared_in(Derived) is None
    assert declared_in(Base(1)) is None


def test_a_wrapper_offers_its_own_parameters_and_those_it_passes_on() -> None:
    def traced(call: Callable[..., Any]) -> Any:
        @functools.wraps(call)
        def wrapper(*args: Any, trace: bool = False, **kwargs: Any) -> Any:
            return call(*args, **kwargs)

        return wrapper

    def only_n(call: Callable[..., Any]) -> Any:
        @functools.wraps(call)
        def wrapper(n):  # type: ignore[no-untyped-def]
            return call(n)

        return wrapper

    assert declaration_of(traced(returns)).signature == (
        "returns(n: int, step: float = 0.5, trace: any = False) -> float"
    )
    assert declaration_of(only_n(returns)).signature == "returns(n: int) -> float"
    with pytest.raises(FunctionError, match=r"\*args takes arguments without names"):
        declaration_of(functools.wraps(returns)(lambda *args: returns(args[0])))


def test_a_wrapper_that_brings_the_object_may_be_offered() -> None:
    account = Account()

    @functools.wraps(Account.deposit)
    def paid(amount):  # type: ignore[no-untyped-def]
        return account.deposit(amount)

    for form in (paid, _wrapper(account.deposit), _wrapper(functools.partial(Account.deposit, account))):
        (declared,) = as_functions([function(name="pay")(form)]).values()
        assert declared.signature.startswith("pay(amount: float)")


def with_options(text: str, width: int = 3, **options: Any) -> str:
    return f"{text} {width} {options}"


def with_more(text: str, *more: str) -> str:
    return f"{text} {more}"


def with_needed(*more: str, text: str) -> str:
    return f"{text} {more}"


@pytest.mark.parametrize(
    ("call", "signature", "result"),
    [
        (with_options, "(text: str, width: int = 3) -> str", "a 3 {}"),
        (functools.partial(with_options, mode=1), "(text: str, width: int = 3) -> str", "a 3 {'mode': 1}"),
        (_wrapper(with_options), "(text: str, width: int = 3) -> str", "a 3 {}"),
        (with_more, "(text: str) -> str", "a ()"),
        (with_needed, "(text: str) -> str", "a ()"),
    ],
    ids=str,
)
def test_what_takes_more_than_it_names_is_offered_with_what_it_names(call, signature, result) -> None:
    orchestrator = Orchestrator([function(name="f")(call)], learn=False)
    assert orchestrator.functions["f"].signature == f"f{signature}"
    assert orchestrator.execute_sync('s1 = f(text="a")').answer == result
    with pytest.raises(PlanError):
        orchestrator.execute_sync('s1 = f(text="a", other=1)')


def test_functions_of_the_standard_library_with_options_are_offered() -> None:
    orchestrator = Orchestrator([json.dumps, textwrap.shorten], learn=False)
    assert orchestrator.execute_sync("s1 = dumps(obj=[1])").answer == "[1]"
    assert orchestrator.execute_sync('s1 = shorten(text="a b", width=9)').answer == "a b"


def test_a_wrapper_of_a_partial_is_described_by_its_functions_words() -> None:
    bound = functools.partial(returns, step=1.0)
    described = declaration_of(returns).description
    for wrapped in (_wrapper(bound), _wrapper(_wrapper(bound)), _wrapper(functools.partial(bound, n=1))):
        assert declaration_of(wrapped, name="f").description == described

    def silent(n: int) -> int:
        return n

    assert declaration_of(_wrapper(functools.partial(silent)), name="f").description == ""
    assert declaration_of(functools.wraps(Mock())(lambda n: n), name="f").description == ""


class Cursor:
    def __next__(self) -> int:
        return 1


class Rows(Iterator[int]):
    def __next__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        *(
            (Cursor, True),
            (Rows, True),
            ("Cursor", True),
            (Cursor | None, True),
            (Annotated[Rows, "rows"], True),
        ),
        *((Iterator[int], False), (Generator[int, None, None], False), (Any, False), (object, False)),
        *((None, False), (list[int], False), (list[Cursor], False), (map, False), (int, False)),
    ],
    ids=str,
)
def test_an_iterator_of_ones_own_is_kept_where_it_is_said_to_be_returned(returned: Any, kept: bool) -> None:
    def query() -> Any: ...

    assert not declaration_of(query).keeps_iterator
    query.__annotations__["return"] = returned
    assert declaration_of(query).keeps_iterator is kept
    del query.__annotations__["return"]
    assert not declaration_of(query).keeps_iterator


def test_a_wrapper_of_an_async_function_that_is_not_async_runs_on_a_thread() -> None:
    @functools.wraps(waits)
    def where(n):  # type: ignore[no-untyped-def]
        return threading.current_thread().name

    @functools.wraps(returns)
    async def there(n):  # type: ignore[no-untyped-def]
        return threading.current_thread().name

    assert declaration_of(where, timeout=1).in_process
    assert declaration_of(where, memory="1GiB").in_process
    assert not declaration_of(there, timeout=1).in_process
    with pytest.raises(FunctionError, match="memory bounds a process"):
        declaration_of(there, memory="1GiB")

    orchestrator = Orchestrator(
        [function(name="where")(where), function(name="there")(there)],
        model=ScriptedModel(["x"]),
        learn=False,
    )
    assert orchestrator.execute_sync("s1 = where(n=1)").answer == "llmorch-thread"
    assert orchestrator.execute_sync("s1 = there(n=1)").answer == threading.current_thread().name


def test_an_async_generator_waits_on_the_event_loop_and_not_in_a_process() -> None:
    async def ticks(n: int) -> AsyncIterator[int]:
        for at in range(n):
            yield at

    declared = declaration_of(ticks, timeout=5)
    assert (declared.is_async, declared.in_process, declared.signature) == (
        False,
        False,
        "ticks(n: int) -> list[int]",
    )
    with pytest.raises(FunctionError, match="memory bounds a process"):
        declaration_of(ticks, memory="1GiB")


def test_types_that_are_text_are_found_where_the_function_was_written() -> None:
    @dataclass
    class Local:
        city: str

    @function
    def visit(place: Local, then: list[Local] | None = None) -> Local:
        """Visit."""
        return place

    class Guide:
        class Tour(BaseModel):
            days: int

        def lead(self, tour: Tour) -> int:
            """Lead."""
            return tour.days

    local = '{"city": str}'
    assert (
        declared_in(visit).signature == f"visit(place: {local}, then: list[{local}] | None = None) -> {local}"
    )
    assert declaration_of(Guide().lead).signature == 'lead(tour: {"days": int}) -> int'


def test_a_type_that_is_text_and_not_known_is_refused_and_a_result_of_such_a_type_is_not() -> None:
    def unknown(x: Missing) -> int: ...  # type: ignore[name-defined]  # noqa: F821

    def unknown_result(x: int) -> Missing: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(FunctionError, match=r"^unknown: parameter x: its type: Missing isn't known where"):
        declaration_of(unknown)
    assert declaration_of(unknown_result).signature == "unknown_result(x: int)"


def test_a_generator_that_asks_the_model_tells_what_it_returns_at_its_end() -> None:
    def ask(n: int) -> Generator[str, str, list[int]]:
        yield "?"
        return [n]

    assert declaration_of(ask, asks_model=True).signature == "ask(n: int) -> list[int]"
    assert declaration_of(ask).signature == "ask(n: int) -> list[str]"


def test_a_batch_form_goes_with_a_bound_method_that_was_declared() -> None:
    account = Account()
    deposit = function(pure=True)(account.deposit)

    @deposit.batch
    def deposit_all(calls: list[dict[str, Any]]) -> list[float]:
        return [call["amount"] for call in calls]

    (declared,) = as_functions([deposit]).values()
    assert declared.batch is not None
    assert declared.batch.call is deposit_all


class Aliased(BaseModel):
    code: int = Field(validation_alias=AliasChoices("kode", "KODE"))
    depth: int = Field(0, validation_alias=AliasPath("place", "depth"))
    mode: int = Field(0, alias="the-mode")


class AliasedNeeded(BaseModel):
    depth: int = Field(validation_alias=AliasPath("place", "depth"))


def test_a_model_that_is_offered_takes_the_names_that_it_is_made_with() -> None:
    orchestrator = Orchestrator([Aliased], learn=False)
    assert orchestrator.functions["Aliased"].signature.startswith("Aliased(kode: int) -> ")
    assert orchestrator.execute_sync("s1 = Aliased(kode=3)").answer == Aliased(kode=3)
    with pytest.raises(
        FunctionError, match=r"^AliasedNeeded: its field depth is passed as 'place.depth', whi"
    ):
        declaration_of(AliasedNeeded)
