"""Every argument of every public function: accepted, or refused at once in one line that names it."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

import llmorch
from llmorch import (
    FunctionCall,
    Orchestrator,
    Plan,
    Processors,
    Technique,
    WrongArgument,
    check,
    discover,
    function,
    methods_of,
    model_named,
    parse,
    render,
    simulate,
    stateful,
)
from llmorch.explain import explain
from llmorch.models.local import LocalModel
from llmorch.models.openai import OpenAIModel
from llmorch.testing import RecordedModel, ScriptedModel, run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable

NAN, INF = float("nan"), float("inf")
ODD: dict[str, Any] = {
    "None": None,
    "empty": "",
    "blank": " \n",
    "word": "word",
    "half": "\ud800",
    "bytes": b"word",
    "True": True,
    "zero": 0,
    "one": 1,
    "minus": -1,
    "huge": 10**30,
    "float": 1.5,
    "-float": -0.5,
    "nan": NAN,
    "inf": INF,
    "list": [],
    "ones": [1],
    "words": ["word"],
    "tuple": (),
    "dict": {},
    "amounts": {"word": 1},
    "debts": {"word": -1},
    "object": object(),
    "class": list,
    "call": lambda *_: None,
}


def double(n: int) -> int:
    return 2 * n


def offering(**said: Any) -> Orchestrator:
    return Orchestrator(
        [double],
        **{"model": ScriptedModel(["s1 = double(n=2)"] * 9), "learn": False, "processors": 1, **said},
    )


FUNCTIONS = offering().functions
PLAN = check(parse("s1 = double(n=1)"), FUNCTIONS)


async def within(use: Callable[[Orchestrator], Any]) -> Any:
    async with offering() as made:
        found = use(made)
        return await found if inspect.isawaitable(found) else found


async def started(name: str, **said: Any) -> None:
    """What is wrong shows when a run is started, and not when it is awaited."""
    async with offering() as made:
        plan = {"query": "Double 2."} if name == "start" else {"plan": "s1 = double(n=1)"}
        run = getattr(made, name)(**(plan | said))
        await run


async def called(**said: Any) -> None:
    async with offering() as made, made.session() as session:
        await session.call(**({"function": "double", "args": {"n": 1}} | said))


async def cancelled(call: Any) -> None:
    async with offering() as made:
        run = made.start_plan("s1 = double(n=1)")
        run.cancel(call)
        await run


def on_loop(use: Callable[[Orchestrator], Any]) -> Any:
    return asyncio.run(within(use))


def of_run(name: str, argument: str) -> Callable[[Any], Any]:
    plan = {"run": {"query": "Double 2."}, "plan": {"query": "Double 2."}, "session": {}}.get(
        name, {"plan": "s1 = double(n=1)"}
    )
    return lambda said: on_loop(lambda made: getattr(made, name)(**(plan | {argument: said})))


def of_start(name: str, argument: str) -> Callable[[Any], Any]:
    return lambda said: asyncio.run(started(name, **{argument: said}))


def declared(option: str) -> Callable[[Any], Any]:
    def f(n: int) -> int:
        return n

    return lambda said: function(**{option: said})(f)


def batch(size: Any) -> None:
    @function
    def single(n: int) -> int:
        return n

    @single.batch(size=size)
    def several(calls: list[dict[str, Any]]) -> list[int]:
        return [call["n"] for call in calls]


def stateful_class(**said: Any) -> Any:
    return stateful(**said)(type("Account", (), {}))


POSITIVE, COUNT, TRUTH = "one float", "one", "True"
SECONDS = f"None {POSITIVE}"
CALLS = "None class call"
ANY = " ".join(ODD)

ARGUMENTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "Processors.count": (Processors, f"None {COUNT}"),
    "Processors.resources": (lambda said: Processors(1, resources=said), "None dict amounts"),
    "Processors.gpus": (
        lambda said: Processors(1, resources={"gpu_memory": said}),
        "zero one ones list tuple",
    ),
    "Processors.environment": (lambda said: Processors(1, environment=said), "None list tuple words"),
    "Processors.place": (lambda said: Processors(1, place=said), "None"),
    "Orchestrator.functions": (
        lambda said: Orchestrator(said, model=ScriptedModel([]), learn=False),
        "list tuple",
    ),
    "Orchestrator.model": (lambda said: offering(model=said), ""),
    "Orchestrator.planner": (lambda said: offering(planner=said), "None"),
    "Orchestrator.fallback": (lambda said: offering(fallback=said), "None list tuple"),
    "Orchestrator.technique": (lambda said: offering(technique=said), ""),
    "Orchestrator.processors": (lambda said: offering(processors=said), f"None {COUNT}"),
    "Orchestrator.policy": (lambda said: offering(policy=said), "None"),
    "Orchestrator.examples": (lambda said: offering(examples=said), "None"),
    "Orchestrator.repairs": (lambda said: offering(repairs=said), "zero one"),
    "Orchestrator.max_recoveries": (lambda said: offering(max_recoveries=said), "None zero one"),
    "Orchestrator.replan": (lambda said: offering(replan=said), TRUTH),
    "Orchestrator.base_url": (lambda said: offering(base_url=said), "None empty blank word half"),
    "Orchestrator.resources": (lambda said: offering(resources=said), "None dict amounts"),
    "Orchestrator.optimize": (lambda said: offering(optimize=said), TRUTH),
    "Orchestrator.learn": (lambda said: offering(learn=said), TRUTH),
    "run.query": (of_run("run", "query"), "word"),
    "run.max_tokens": (of_run("run", "max_tokens"), "None one"),
    "run.wrote": (of_run("run", "wrote"), CALLS),
    "execute.plan": (of_run("execute", "plan"), ""),
    "execute.deadline": (of_run("execute", "deadline"), SECONDS),
    "execute.priority": (of_run("execute", "priority"), POSITIVE),
    "execute.observer": (of_run("execute", "observer"), "None call"),
    "start.query": (of_start("start", "query"), "word"),
    "start.deadline": (of_start("start", "deadline"), SECONDS),
    "start.max_tokens": (of_start("start", "max_tokens"), "None one"),
    "start.priority": (of_start("start", "priority"), POSITIVE),
    "start.observer": (of_start("start", "observer"), "None call"),
    "start.wrote": (of_start("start", "wrote"), CALLS),
    "start_plan.plan": (of_start("start_plan", "plan"), ""),
    "start_plan.deadline": (of_start("start_plan", "deadline"), SECONDS),
    "start_plan.priority": (of_start("start_plan", "priority"), POSITIVE),
    "start_plan.observer": (of_start("start_plan", "observer"), "None call"),
    "session.priority": (of_run("session", "priority"), POSITIVE),
    "session.observer": (of_run("session", "observer"), "None call"),
    "plan.query": (of_run("plan", "query"), "word"),
    "plan.max_tokens": (of_run("plan", "max_tokens"), "None one"),
    "plan.wrote": (of_run("plan", "wrote"), CALLS),
    "plan.usage": (of_run("plan", "usage"), "None"),
    "check.plan": (lambda said: offering().check(said), ""),
    "forecast.plan": (lambda said: offering().forecast(said), ""),
    "forecast.planning": (lambda said: offering().forecast(PLAN, planning=said), "None"),
    "forecast.prices": (lambda said: offering().forecast(PLAN, prices=said), "None"),
    "forecast.price": (lambda said: offering().forecast(PLAN, prices=(said, 1)), f"zero {POSITIVE} huge"),
    "run_sync.query": (lambda said: offering().run_sync(said), "word"),
    "execute_sync.plan": (lambda said: offering().execute_sync(said), ""),
    "execute_sync.deadline": (lambda said: offering().execute_sync(PLAN, deadline=said), SECONDS),
    "call.function": (lambda said: asyncio.run(called(function=said)), ""),
    "call.args": (lambda said: asyncio.run(called(args=said)), ""),
    "call.via": (lambda said: asyncio.run(called(via=said)), CALLS),
    "cancel.call": (lambda said: asyncio.run(cancelled(said)), "None"),
    "function.call": (function, "None"),
    "function.kind": (declared("kind"), "None"),
    "function.name": (declared("name"), "None word"),
    "function.description": (declared("description"), "None empty blank word"),
    "function.timeout": (declared("timeout"), f"{SECONDS} huge"),
    "function.memory": (declared("memory"), "None"),
    "function.asks_model": (declared("asks_model"), "None True"),
    "function.pure": (declared("pure"), "None True"),
    "function.reads": (declared("reads"), "None words list tuple"),
    "function.writes": (declared("writes"), "None words list tuple"),
    "function.effects": (declared("effects"), "None"),
    "function.retries": (declared("retries"), "None zero one"),
    "function.retry_on": (declared("retry_on"), "None"),
    "function.backoff": (declared("backoff"), "None zero one float huge"),
    "function.idempotent": (declared("idempotent"), "None True"),
    "function.resources": (declared("resources"), "None dict amounts"),
    "function.max_concurrency": (declared("max_concurrency"), f"None {COUNT}"),
    "function.rate": (declared("rate"), "None"),
    "function.show": (declared("show"), "None class call"),
    "batch.size": (batch, "huge"),
    "stateful.declared": (stateful, "None"),
    "stateful.reads": (lambda said: stateful_class(reads=said), "words list tuple"),
    "stateful.writes": (lambda said: stateful_class(writes=said), "words list tuple"),
    "methods_of.owner": (methods_of, ""),
    "methods_of.prefix": (lambda said: methods_of(stateful_class()(), prefix=said), "empty blank word half"),
    "model_named.spec": (model_named, ""),
    "model_named.base_url": (
        lambda said: model_named("openai:m", base_url=said),
        "None empty blank word half",
    ),
    "model_named.progress": (lambda said: model_named("local", progress=said), CALLS),
    "parse.text": (parse, ""),
    "check.functions": (lambda said: check(PLAN, said), ""),
    "check.checked": (lambda said: check(said, FUNCTIONS), ""),
    "render.plan": (render, ""),
    "render.form": (lambda said: render(PLAN, form=said), ""),
    "discover.plan": (lambda said: discover(said, FUNCTIONS), ""),
    "discover.functions": (lambda said: discover(PLAN, said), ""),
    "discover.results": (lambda said: discover(PLAN, FUNCTIONS, said), "None dict amounts debts"),
    "discover.optimize": (lambda said: discover(PLAN, FUNCTIONS, optimize=said), TRUTH),
    "simulate.plan": (lambda said: simulate(said, FUNCTIONS, {}, processors=1), ""),
    "simulate.functions": (lambda said: simulate(PLAN, said, {}, processors=1), ""),
    "simulate.durations": (lambda said: simulate(PLAN, FUNCTIONS, said, processors=1), "dict amounts"),
    "simulate.duration": (
        lambda said: simulate(PLAN, FUNCTIONS, {"double": said}, processors=1),
        f"zero {POSITIVE}",
    ),
    "simulate.processors": (lambda said: simulate(PLAN, FUNCTIONS, {}, processors=said), COUNT),
    "simulate.policy": (lambda said: simulate(PLAN, FUNCTIONS, {}, processors=1, policy=said), ""),
    "simulate.failing": (
        lambda said: simulate(PLAN, FUNCTIONS, {}, processors=1, failing=said),
        "words list tuple dict amounts debts",
    ),
    "simulate.resources": (
        lambda said: simulate(PLAN, FUNCTIONS, {}, processors=1, resources=said),
        "None dict amounts",
    ),
    "simulate.expected": (
        lambda said: simulate(PLAN, FUNCTIONS, {}, processors=1, expected=said),
        "None dict amounts",
    ),
    "simulate.optimize": (lambda said: simulate(PLAN, FUNCTIONS, {}, processors=1, optimize=said), TRUTH),
    "simulate.left_out": (
        lambda said: simulate(PLAN, FUNCTIONS, {}, processors=1, left_out=said),
        "words list tuple dict amounts debts",
    ),
    "Plan.calls": (Plan, "list tuple"),
    "FunctionCall.id": (lambda said: Plan((FunctionCall(said, "f", {}),)), "word"),
    "FunctionCall.function": (lambda said: Plan((FunctionCall("s1", said, {}),)), "word"),
    "FunctionCall.args": (lambda said: Plan((FunctionCall("s1", "f", said),)), "dict"),
    "FunctionCall.args.n": (lambda said: Plan((FunctionCall("s1", "f", {"n": said}),)), ""),
    "FunctionCall.positional": (lambda said: Plan((FunctionCall("s1", "f", {}, said),)), "tuple"),
    "Technique.name": (lambda said: Technique(said, lambda _: None), "word"),
    "Technique.play": (lambda said: Technique("mine", said), "class call"),
    "Technique.policy": (lambda said: Technique("mine", lambda _: None, policy=said), ""),
    "Technique.plans": (lambda said: Technique("mine", lambda _: None, plans=said), TRUTH),
    "Technique.recoveries": (lambda said: Technique("mine", lambda _: None, recoveries=said), "zero one"),
    "Technique.last_answers": (lambda said: Technique("mine", lambda _: None, last_answers=said), TRUTH),
    "ScriptedModel.replies": (ScriptedModel, "words list tuple class call"),
    "ScriptedModel.reply": (lambda said: ScriptedModel([said]), "empty blank word half words list tuple"),
    "ScriptedModel.delay": (lambda said: ScriptedModel([], delay=said), f"zero {POSITIVE}"),
    "ScriptedModel.kind": (lambda said: ScriptedModel([], kind=said), ""),
    "ScriptedModel.chunk": (lambda said: ScriptedModel([], chunk=said), COUNT),
    "ScriptedModel.calls_tools": (lambda said: ScriptedModel([], calls_tools=said), TRUTH),
    "RecordedModel.path": (RecordedModel, "blank word half"),
    "RecordedModel.record": (lambda said: RecordedModel("file", record=said), "None"),
    "OpenAIModel.name": (OpenAIModel, "word"),
    "OpenAIModel.base_url": (lambda said: OpenAIModel("m", said), "None empty blank word half"),
    "OpenAIModel.api_key": (lambda said: OpenAIModel("m", api_key=said), "None empty blank word half"),
    "OpenAIModel.timeout": (lambda said: OpenAIModel("m", timeout=said), f"None {POSITIVE}"),
    "OpenAIModel.first_token": (lambda said: OpenAIModel("m", first_token=said), f"None {POSITIVE}"),
    "OpenAIModel.temperature": (lambda said: OpenAIModel("m", temperature=said), f"None zero {POSITIVE}"),
    "OpenAIModel.max_tokens": (lambda said: OpenAIModel("m", max_tokens=said), "None one"),
    "OpenAIModel.max_concurrency": (lambda said: OpenAIModel("m", max_concurrency=said), "None one"),
    "OpenAIModel.effort": (lambda said: OpenAIModel("m", effort=said), "None word"),
    "OpenAIModel.headers": (lambda said: OpenAIModel("m", headers=said), "None dict"),
    "OpenAIModel.preset": (lambda said: OpenAIModel("m", preset=said), ""),
    "OpenAIModel.retries": (lambda said: OpenAIModel("m", retries=said), "zero one"),
    "OpenAIModel.extra": (lambda said: OpenAIModel("m", extra=said), CALLS),
    "OpenAIModel.label": (lambda said: OpenAIModel("m", label=said), "None word"),
    "LocalModel.threads": (lambda said: LocalModel(threads=said), f"None {COUNT}"),
    "LocalModel.context": (lambda said: LocalModel(context=said), COUNT),
    "LocalModel.progress": (lambda said: LocalModel(progress=said), CALLS),
    "run_virtually.main": (run_virtually, ""),
    "explain.run": (explain, ""),
}

NAMED = {
    "Processors.count": "processors",
    "Processors.gpus": "resources: gpu_memory",
    "Orchestrator.functions": "function",
    "Orchestrator.planner": "model",
    "stateful.declared": "only a class",
    "methods_of.owner": "@stateful",
    "model_named.spec": "model",
    "check.checked": "plan",
    "FunctionCall.args": "of a call",
    "ScriptedModel.replies": "repl",
}
"""What an argument is called in what is said of it, where that isn't its own name."""


@pytest.mark.parametrize("which", ARGUMENTS)
def test_an_argument_is_accepted_or_refused_at_once(which: str, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use, accepted = ARGUMENTS[which]
    came = {}
    for label, said in ODD.items():
        try:
            use(said)
        except llmorch.PlanError:  # a plan's own lines
            came[label] = "plan"
        except WrongArgument as error:
            came[label] = str(error)
        except Exception as error:
            came[label] = error
        else:
            came[label] = True
    assert {label for label, how in came.items() if how is True} == set(accepted.split())
    for label, how in came.items():
        if how is not True and how != "plan":
            assert isinstance(how, str), (label, how)
            assert len(how.splitlines()) == 1, (label, how)
            assert NAMED.get(which, which.rpartition(".")[2]) in how, (label, how)


def test_a_model_may_be_one_that_hands_on_what_it_is_asked_for() -> None:
    class Proxy:
        def __init__(self, model: Any) -> None:
            self._model = model

        def __getattr__(self, name: str) -> Any:
            return getattr(self._model, name)

    orchestrator = Orchestrator([], model=Proxy(ScriptedModel(['s1 = self("hello")', "hello"])))
    assert orchestrator.run_sync("Say hello").answer == "hello"
