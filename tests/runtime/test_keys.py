"""Functions have keys, and quote them where they fail; nothing that is told of the failure has one."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

import pytest

from llmorch import Orchestrator
from llmorch.cli.timeline import chrome_trace, text
from llmorch.errors import LLMOrchError
from llmorch.explain import explain
from llmorch.message_forms import to_record
from llmorch.testing import ScriptedModel
from tests.marked_keys import leaks
from tests.runtime import keyed

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("where", ["thread", "process"])
@pytest.mark.parametrize("way_in", keyed.WAYS_IN)
async def test_a_call_that_fails_with_a_key_tells_no_key(
    way_in: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    if way_in == "by_an_end" and where == "thread":
        pytest.skip("it would end the tests")
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    model = ScriptedModel([f's1 = {way_in}(x="a")', f's1 = {way_in}(x="b")', *["no plan"] * 6])

    def observe(message: Any, at: float) -> None:
        said.append(f"{message!r} {to_record(message, run='r', at=at).to_json()}")

    orchestrator = Orchestrator([keyed.offered(way_in, where)], model=model, processors=1, learn=False)
    async with orchestrator:
        try:
            result = await orchestrator.run("?", observer=observe)
        except LLMOrchError as error:
            result = error.result
            said.append("".join(traceback.format_exception(error)))
    (call,) = result.calls
    assert call.status == "failed"
    assert call.error is not None
    said += [f"{result!r} {result.calls!r} {call!r} {result.error} {result.notes}", call.error]
    said += [
        f"{call.traceback}",
        json.dumps(result.as_json()),
        json.dumps(chrome_trace(result)),
        text(result),
    ]
    said += [f"{explain(result.record)} {orchestrator!r} {orchestrator.functions!r} {call.as_json()}"]
    said += [caplog.text, *map(str, model.requests)]
    assert [one for one in said if leaks(one)] == []
    if way_in not in ("by_an_end", "by_hidden", "by_cause"):
        assert "**********" in call.error


async def test_what_is_logged_of_an_observer_that_raises_has_no_key(caplog: pytest.LogCaptureFixture) -> None:
    def observe(message: Any, at: float) -> None:
        keyed.by_cause("a")

    async with Orchestrator(model=ScriptedModel(["yes"]), processors=1, learn=False) as orchestrator:
        with caplog.at_level(logging.ERROR, logger="llmorch"):
            await orchestrator.execute('s1 = self(prompt="a")', observer=observe)
    assert "an observer raised at" in caplog.text
    assert ", in by_cause" in caplog.text
    assert "**********" in caplog.text
    assert not leaks(caplog.text)
