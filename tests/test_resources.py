"""What people write about resources: read, or refused with what to write instead."""

from __future__ import annotations

import pytest

from llmorch import FunctionError, Orchestrator, PlanError, function
from llmorch.declare.offered import as_functions
from llmorch.declare.resources import Rate, Supply, amount_of, shortage, supply_of
from llmorch.testing import ScriptedModel


def declared(**said):
    def work(x: int = 0) -> int:
        return x

    return as_functions([function(**said)(work)])["work"]


def test_sizes_are_bytes_and_numbers_are_numbers() -> None:
    assert [amount_of(said) for said in (3, "3", "6GiB", "1.5 MiB", "2GB", "10B")] == [
        3,
        3,
        6 * 2**30,
        3 * 2**19,
        2 * 10**9,
        10,
    ]


@pytest.mark.parametrize("said", [-1, 1.5, True, None, "6 gigs", "GiB", "1e3", "9999999TiB", [1]])
def test_an_amount_that_is_none_is_refused(said) -> None:
    with pytest.raises(ValueError, match=r"neither|not from"):
        amount_of(said)


def test_a_function_keeps_what_was_declared() -> None:
    work = declared(
        resources={"cpu": 2, "gpu_memory": "6GiB", "camera": 1}, max_concurrency=4, rate="100/min"
    )
    assert work.resources == {"cpu": 2, "gpu_memory": 6 * 2**30, "camera": 1}
    assert (work.kind, work.max_concurrency, work.rate) == ("compute", 4, Rate(100, 60))
    assert declared(resources={"camera": 1}).kind == "inout"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"resources": ["camera"]}, "resources is a dictionary"),
        ({"resources": {"camera": 0}}, "takes no camera doesn't name it"),
        ({"resources": {"camera": "some"}}, "neither a whole number nor a size"),
        ({"resources": {"a camera": 1}}, "no name of a resource"),
        ({"resources": {"cpu": 2}, "kind": "inout"}, 'declare kind="compute"'),
        ({"resources": {"gpu_memory": "1GiB"}, "asks_model": True}, "leave gpu_memory out"),
        ({"max_concurrency": 0}, "max_concurrency is a whole number"),
        ({"rate": "10"}, 'rate is written as "10/s"'),
        ({"rate": "0/s"}, 'rate is written as "10/s"'),
        ({"rate": "3/week"}, 'rate is written as "10/s"'),
    ],
)
def test_a_declaration_that_cant_be_is_refused_with_what_to_write(said, told) -> None:
    with pytest.raises(FunctionError, match="work: ") as caught:
        declared(**said)
    assert told in str(caught.value)


def test_what_there_is_has_one_amount_or_one_a_gpu() -> None:
    assert supply_of({"camera": 2, "gpu_memory": "1GiB"}) == Supply({"camera": 2}, (2**30,))
    assert supply_of({"gpu_memory": ["1GiB", "2GiB"]}) == Supply({}, (2**30, 2**31))
    with pytest.raises(ValueError, match="processors= says"):
        supply_of({"cpu": 4})


@pytest.mark.parametrize(
    "said", [3, "camera", ["camera"], {"camera": 10**5000}, {"gpu_memory": ["some"]}, {3: 1}]
)
def test_what_there_is_is_refused_where_it_cant_be_read(said) -> None:
    with pytest.raises(ValueError, match="resource"):
        supply_of(said)


def test_a_shortage_names_the_need_and_what_there_is() -> None:
    supply = Supply({"camera": 1}, (2**30, 2**31))
    assert shortage({"cpu": 2, "camera": 1, "gpu_memory": 2**31}, 2, supply) == ""
    assert shortage({"cpu": 3}, 2, supply) == "it needs 3 processors, and there are 2 processors"
    assert shortage({"robot": 1}, 2, supply) == "it needs 1 of robot, and there is none"
    assert shortage({"gpu_memory": 3 * 2**30}, 2, supply) == (
        "it needs 3 GiB of gpu_memory, and the largest of 2 GPUs has 2 GiB of gpu_memory"
    )


def test_a_call_that_could_never_fit_is_refused_before_anything_runs() -> None:
    ran = []

    @function(resources={"camera": 2})
    def film() -> None:
        ran.append("film")

    @function
    def look() -> None:
        ran.append("look")

    orchestrator = Orchestrator([film, look], model=ScriptedModel([]), resources={"camera": 1})
    with pytest.raises(PlanError) as caught:
        orchestrator.execute_sync("s1 = look()\ns2 = film()")
    assert str(caught.value).splitlines()[:3] == [
        "line 2, column 1: film can't be called here: it needs 2 of camera, and there is 1 of camera",
        "    s2 = film()",
        "    ^",
    ]
    assert not ran
    orchestrator.execute_sync("s1 = look()")
    assert ran == ["look"]
