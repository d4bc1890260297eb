"""Whose turn it is at what several calls touch: as if every call were compared with every earlier one."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from llmorch.calls import FunctionCall
from llmorch.relations import NOTHING, RelationGraph, Touch
from llmorch.relations.effects import Name
from llmorch.schedule.scheduler import Scheduler
from tests.relations.test_things import TOUCHES
from tests.strategies import plans


class Compared:
    """What the scheduler promises, by comparing calls: no index, nothing kept but how each stands."""

    def __init__(self, graph: RelationGraph) -> None:
        self.graph = graph
        self.waiting: set[str] = set()
        self.completed: set[str] = set()
        self.stopped: set[str] = set()

    def add(self, call: str) -> bool:
        graph = self.graph
        spoilt = [one for one in graph.after(call) if graph.touch(one).spoils(graph.touch(call))]
        if self.stopped.intersection((*graph.uses(call), *spoilt)):
            self.stopped.add(call)
        else:
            self.waiting.add(call)
        return call in self.ready()

    def ready(self) -> set[str]:
        """The calls that nothing holds any more, each told once."""
        ended = self.completed | self.stopped
        found = {
            call
            for call in self.waiting
            if self.completed.issuperset(self.graph.uses(call)) and ended.issuperset(self.graph.after(call))
        }
        self.waiting -= found
        return found

    def fail(self, call: str) -> list[str]:
        self.stopped.add(call)
        found = self.graph.descendants(call, copies=True, among=self.waiting)
        self.stopped.update(found)
        self.waiting.difference_update(found)
        return found


@settings(max_examples=300)
@given(plan=plans(arguments=False, max_calls=12), data=st.data())
def test_calls_are_ready_when_nothing_earlier_that_conflicts_is_left(plan, data) -> None:
    graph = RelationGraph()
    scheduler, compared = Scheduler(graph), Compared(graph)
    running: set[str] = set()
    coming = list(plan)
    while coming or running:
        steps = [*(["add"] if coming else []), *(["complete", "fail", "narrow"] if running else [])]
        step = data.draw(st.sampled_from(steps))
        if step == "add":
            call = coming.pop(0)
            graph.add(call, "inout", data.draw(TOUCHES))
            ready = {call.id} if scheduler.add(call.id) else set()
            assert ready == ({call.id} if compared.add(call.id) else set())
            if not ready and call.id not in compared.stopped and data.draw(st.integers(0, 9)) == 0:
                scheduler.begun(call.id)  # as one that a revised plan has from the one before
                compared.waiting.discard(call.id)
                ready = {call.id}
            running |= ready
            continue
        if step == "narrow":
            one = data.draw(st.sampled_from(list(graph)))
            touch = graph.touch(one)
            kept = data.draw(st.booleans())
            graph.narrow(one, NOTHING if touch.barrier else Touch(touch.reads, touch.writes[:kept]))
            ready = set(scheduler.narrowed(one))
        else:
            one = data.draw(st.sampled_from(sorted(running)))
            running.remove(one)
            if step == "complete":
                ready = set(scheduler.complete(one))
                compared.completed.add(one)
            else:
                stopped = scheduler.fail(one)
                assert stopped == compared.fail(one)
                ready = set(scheduler.passed([one, *stopped]))
        assert ready == compared.ready()
        running |= ready
    assert not compared.waiting


def test_six_thousand_writers_of_one_thing_take_their_turns_in_no_time() -> None:
    graph = RelationGraph()
    scheduler = Scheduler(graph)
    calls = [f"s{at}" for at in range(6_000)]
    began = time.process_time()
    for call in calls:
        graph.add(FunctionCall(call, "write", {}), "inout", Touch(writes=(Name("x", below=True),)))
    assert [call for call in calls if scheduler.add(call)] == ["s0"]
    for call in calls[3_000:]:
        graph.narrow(call, Touch(writes=(Name("x1"),)))
        scheduler.narrowed(call)
    for at, call in enumerate(calls):
        assert scheduler.complete(call) == calls[at + 1 : at + 2]
    assert time.process_time() - began < 2
