"""Methods of stateful objects: what a class says for all of them, and what one says for itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llmorch import Orchestrator, discover, function, methods_of, stateful
from llmorch.declare.offered import as_functions
from llmorch.errors import FunctionError
from llmorch.plan import check, parse
from llmorch.testing import ScriptedModel

if TYPE_CHECKING:
    from typing import Any

    from llmorch.declare.functions import Function


@stateful
class Account:
    def __init__(self, number: int = 1, balance: float = 0.0) -> None:
        self.number = number
        self.balance = balance

    async def deposit(self, amount: float) -> float:
        """Add an amount."""
        before = self.balance
        await asyncio.sleep(0.002)
        self.balance = before + amount
        return self.balance

    async def withdraw(self, amount: float) -> float:
        return await self.deposit(-amount)

    @function(reads=["{self}"])
    async def get_balance(self) -> float:
        await asyncio.sleep(0.001)
        return self.balance

    @function(effects="none")
    async def convert(self, amount: float, rate: float = 2.0) -> float:
        return amount * rate

    @function(timeout=5)
    async def close(self) -> None:
        self.balance = 0.0

    @staticmethod
    def currencies() -> list[str]:
        return ["EUR"]

    def _hidden(self) -> None: ...


def after(functions: dict[str, Function], text: str) -> dict[str, tuple[str, ...]]:
    graph = discover(check(parse(text), functions), functions)
    return {call: graph.after(call) for call in graph if graph.after(call)}


def test_an_object_offers_its_public_methods_in_the_order_in_which_they_are_written() -> None:
    account = Account()
    functions = as_functions([account])
    assert list(functions) == ["deposit", "withdraw", "get_balance", "convert", "close"]
    assert functions["deposit"].signature == "deposit(amount: float) -> float"
    assert functions["deposit"].description == "Add an amount."
    assert functions == as_functions([getattr(account, name) for name in functions])


def test_a_method_without_a_word_touches_the_whole_object_and_others_what_they_say() -> None:
    functions = as_functions([Account()])
    assert after(functions, "s1 = get_balance()\ns2 = get_balance()\ns3 = convert(amount=1)") == {}
    assert after(
        functions,
        "s1 = deposit(amount=1)\ns2 = convert(amount=1)\ns3 = get_balance()\ns4 = close()",
    ) == {"s3": ("s1",), "s4": ("s1", "s3")}


def test_methods_of_two_objects_do_not_conflict() -> None:
    savings, checking = Account(1), Account(2)
    functions = as_functions(
        [*methods_of(savings, prefix="savings_"), *methods_of(checking, prefix="checking_")]
    )
    text = "s1 = savings_deposit(amount=1)\ns2 = checking_deposit(amount=1)\ns3 = savings_get_balance()"
    assert after(functions, text) == {"s3": ("s1",)}


def test_objects_of_one_attribute_are_one_thing_where_the_class_says_so() -> None:
    @stateful(reads=["rates"], writes=["account:{self.number}"])
    class Client:
        def __init__(self, number: object) -> None:
            self.number = number

        def pay(self, amount: int) -> None: ...

        @function(reads=["account:{self.number}", "fee:{amount}"])
        def fee(self, amount: int) -> None: ...

    one, same, other = Client("a"), Client("a"), Client("b")
    functions = as_functions(
        [*methods_of(one), *methods_of(same, prefix="same_"), *methods_of(other, prefix="other_")]
    )
    assert functions["pay"].writes == ("account:a",)
    assert functions["pay"].reads == ("rates",)
    assert after(
        functions, "s1 = pay(amount=1)\ns2 = same_pay(amount=1)\ns3 = other_pay(amount=1)\ns4 = fee(amount=1)"
    ) == {"s2": ("s1",), "s4": ("s1", "s2")}
    with pytest.raises(FunctionError, match=r"pay: \{self.number\} is 'a\*'; a name has no braces and no \*"):
        as_functions([Client("a*").pay])
    del one.number
    with pytest.raises(FunctionError, match=r"pay: \{self.number\} can't be filled in: AttributeError"):
        as_functions([one])


def test_a_part_of_an_object_is_its_own_and_of_the_whole() -> None:
    @stateful
    class Car:
        @function(writes=["{self}/doors"])
        def lock(self) -> None: ...

        @function(writes=["{self}/fuel"])
        def fill(self) -> None: ...

        def crash(self) -> None: ...

    functions = as_functions([Car()])
    assert after(functions, "s1 = lock()\ns2 = fill()\ns3 = crash()\ns4 = lock()") == {
        "s3": ("s1", "s2"),
        "s4": ("s1", "s3"),
    }


def test_a_subclass_inherits_what_its_class_says_and_may_say_other() -> None:
    class Joint(Account):
        async def get_balance(self) -> float:
            return 0.0

    @stateful(reads=["{self}"])
    class Frozen(Account): ...

    (anew,) = as_functions([Joint().get_balance]).values()
    assert anew.writes == as_functions([anew.call])["get_balance"].writes != ()
    (frozen,) = as_functions([Frozen().deposit]).values()
    assert (len(frozen.reads), frozen.writes) == (1, ())


def test_a_class_of_somebody_else_is_declared_from_outside() -> None:
    class Theirs:
        def read(self) -> None: ...

        def write(self) -> None: ...

    function(reads=["{self}"])(Theirs.read)
    stateful(Theirs)
    functions = as_functions([Theirs()])
    assert after(functions, "s1 = write()\ns2 = read()\ns3 = read()") == {"s2": ("s1",), "s3": ("s1",)}


def test_a_part_that_another_call_names_is_let_go_once_it_is_known() -> None:
    @stateful
    class Shelf:
        @function(writes=["{self}/{place}"])
        def put(self, place: int) -> None: ...

        @function(effects="none")
        def free(self) -> int: ...

    functions = as_functions([Shelf()])
    text = "s1 = free()\ns2 = put(place=s1)\ns3 = put(place=2)"
    assert after(functions, text) == {"s3": ("s2",)}
    plan = check(parse(text), functions)
    assert discover(plan, functions, {"s1": 1}).after("s3") == ()


@pytest.mark.anyio
async def test_calls_of_one_object_keep_the_plans_order_and_two_objects_run_together() -> None:
    savings, checking = Account(), Account(2)
    offered = [savings, *methods_of(checking, prefix="checking_")]
    async with Orchestrator(offered, model=ScriptedModel([]), optimize=False) as orchestrator:
        result = await orchestrator.execute(
            "s1 = deposit(amount=10)\n"
            "s2 = withdraw(amount=4)\n"
            "s3 = get_balance()\n"
            "s4 = checking_deposit(amount=1)\n"
            "s5 = deposit(amount=s4)"
        )
    assert [call.result for call in result.calls] == [10, 6, 6, 1, 7]
    assert result.calls["s4"].dispatched < result.calls["s1"].completed
    assert savings.balance == 7


def test_a_method_that_may_change_its_object_needs_leave_to_be_retried() -> None:
    @stateful
    class Queue:
        @function(retries=2)
        def push(self) -> None: ...

        @function(retries=2, reads=["{self}"])
        def size(self) -> int: ...

    as_functions([Queue().size])
    with pytest.raises(FunctionError, match="push: a retry may do what it writes twice"):
        as_functions([Queue().push])


@stateful
class Computing:
    @function(kind="compute")
    def train(self) -> None: ...

    @function(kind="compute", reads=["{self}"])
    def score(self) -> None: ...

    @function(timeout=5)
    def fit(self) -> None: ...

    @function(memory="2GiB", reads=["{self}"])
    def measure(self) -> None: ...

    @function(timeout=5)
    async def wait(self) -> None: ...

    @wait.batch
    def wait_for_all(self, calls: list[dict[str, Any]]) -> list[None]: ...

    @function(timeout=5, effects="none")
    def cube(self, n: int) -> int: ...

    @function(kind="compute", effects="none")
    def square(self, n: int) -> int:
        return n * n


class Plain:
    def read(self) -> None: ...


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (lambda: as_functions([Computing().train]), "train: a compute call works on a copy of its object"),
        (lambda: as_functions([Computing().score]), "score: a compute call works on a copy of its object"),
        (lambda: as_functions([Computing().fit]), "fit: with timeout=, a synchronous method works on a copy"),
        (
            lambda: as_functions([Computing().measure]),
            "measure: with memory=, a synchronous method works on a copy",
        ),
        (
            lambda: as_functions([Computing().wait]),
            "wait: with timeout=, a synchronous method works on a copy",
        ),
        (lambda: as_functions([Account]), "Account: offer an object of this class, not the class itself"),
        (
            lambda: as_functions([Plain()]),
            "Plain object> is no function; to offer an object's methods, decorate",
        ),
        (lambda: methods_of(Plain()), "Plain: decorate this class with @stateful"),
        (lambda: as_functions([Account(), Account()]), "two functions are called deposit"),
        (lambda: methods_of(Account(), prefix="my "), "my deposit: a function needs a plain name"),
        (lambda: stateful(writes=["account:{number}"])(Plain), "braces in 'account:{number}' hold"),
        (lambda: stateful(writes="account")(Plain), "Plain: writes is a list of names"),
        (lambda: stateful(Plain.read), "only a class can be stateful"),
        (lambda: stateful(int), "int: only a class written with class can be stateful"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(refused, told) -> None:
    with pytest.raises(FunctionError) as raised:
        refused()
    assert told in str(raised.value)


def test_only_the_object_has_attributes_in_a_name() -> None:
    with pytest.raises(FunctionError, match=r"braces in 'file:\{path.name\}' hold a parameter's name: path"):

        @function(reads=["file:{path.name}"])
        def read(path: str) -> None: ...


def test_a_compute_method_that_needs_nothing_of_its_object_is_offered() -> None:
    square, cube = as_functions([Computing().square, Computing().cube]).values()
    assert (cube.in_process, cube.changes) == (True, False)
    assert (square.kind, square.changes, square.repeatable) == ("compute", False, True)
