"""What the port promises, for each implementation of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from llmorch.errors import ModelError
from llmorch.models import child
from llmorch.models.local import LocalModel
from llmorch.models.openai import OpenAIModel
from llmorch.models.recorded import RecordedModel
from llmorch.models.scripted import ScriptedModel
from llmorch.testing.models import ModelContract
from tests.models import stand_in
from tests.models.loopback import Answer, event, refusal, reply, serving
from tests.models.replies import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmorch.models.model import Model, ModelRequest


@dataclass
class Endless(Sequence[str]):
    """A reply without an end that counts how much of it was asked for."""

    taken: int = 0

    def __getitem__(self, index: object) -> str:  # type: ignore[override]
        self.taken += 1
        return "x"

    def __len__(self) -> int:
        return 10**9

    def stopped(self) -> bool:
        before = self.taken
        time.sleep(0.1)
        return self.taken == before


class Known(ModelContract):
    """Models whose replies are known."""

    threads = 40
    forks = 40

    def reply(self, number: int) -> str | None:
        return number_of(str(number))

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path


class TestScripted(Known):
    """Prepared replies."""

    def model(self) -> Model:
        return ScriptedModel(lambda request: number_of(request.messages[-1].text), chunk=3)

    def failing(self) -> Model:
        return ScriptedModel([ModelError("scripted: out of order")])

    def endless(self) -> Model:
        self.reply_without_end = Endless()
        return ScriptedModel([self.reply_without_end])

    def stopped(self) -> bool:
        return self.reply_without_end.stopped()


class TestRecording(TestScripted):
    """The same, while they are recorded."""

    def model(self) -> Model:
        return RecordedModel(self.folder / "replies", record=super().model())

    def failing(self) -> Model:
        return RecordedModel(self.folder / "failing", record=super().failing())

    def endless(self) -> Model:
        return RecordedModel(self.folder / "endless", record=super().endless())


class TestRecorded(Known):
    """The same, as they were recorded."""

    def request(self, number: int) -> ModelRequest:
        return super().request(number % 20)

    def reply(self, number: int) -> str | None:
        return super().reply(number % 20)

    def model(self) -> Model:
        recording = ScriptedModel(lambda request: number_of(request.messages[-1].text), chunk=3)
        return self._recorded(recording, range(20))

    def failing(self) -> Model:
        return RecordedModel(self.folder / "missing")

    def endless(self) -> Model | None:
        return None if self._closing else self._recorded(ScriptedModel(["x" * 1000], chunk=1), [0])

    @pytest.fixture(autouse=True)
    def _what(self, request: pytest.FixtureRequest) -> None:
        self._closing = "another_loop" in request.node.name  # a file has nothing to close

    def _recorded(self, model: Model, numbers: Sequence[int]) -> Model:
        for number in numbers:
            self._run(self._ask(RecordedModel(self.folder / "recorded", record=model), number))
        return RecordedModel(self.folder / "recorded")


class TestOpenAI(Known):
    """An endpoint of that kind on the loopback."""

    @pytest.fixture(autouse=True)
    def _endpoint(self) -> Iterator[None]:
        answers = {
            "fails": refusal(500, "the model\nburst"),
            "endless": Answer(lines=[event("x")], endless=True),
        }

        def answer(body: dict[str, Any]) -> Answer:
            said = number_of(body["messages"][-1]["content"])
            return answers.get(body["model"]) or reply(said[:4], said[4:])

        with serving() as self.endpoint:
            self.endpoint.answer = answer
            yield

    def model(self) -> Model:
        return OpenAIModel("replies", self.endpoint.url, retries=0)

    def failing(self) -> Model:
        return OpenAIModel("fails", self.endpoint.url, retries=0)

    def endless(self) -> Model:
        return OpenAIModel("endless", self.endpoint.url, retries=0)

    def stopped(self) -> bool:
        return self.endpoint.hung_up.wait(5)


class TestOpenAIWithKeptConnections(Known):
    """An endpoint that isn't known to be on this machine: connections to it are kept for the next request."""

    @pytest.fixture(autouse=True)
    def _endpoint(self) -> Iterator[None]:
        with serving(keeps=True) as self.endpoint:
            self.endpoint.answer = lambda body: reply(number_of(body["messages"][-1]["content"]))
            yield

    def model(self) -> Model:
        return OpenAIModel("replies", self.endpoint.url.replace("127.0.0.1", "127.1"), retries=0)


class TestLocal(Known):
    """The local model with a stand-in for llama.cpp, so without weights."""

    threads = 30
    forks = 8

    @pytest.fixture(autouse=True)
    def _stand_in(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pytest.importorskip("xllamacpp")
        monkeypatch.setattr(child, "_COMMAND", stand_in.COMMAND)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def model(self) -> Model:
        return self._local("replies")

    def failing(self) -> Model:
        return self._local("fails")

    def endless(self) -> Model:
        return self._local("endless")

    def stopped(self) -> bool:
        for _ in range(400):
            if (self.folder / "endless.hung_up").exists():
                return True
            time.sleep(0.05)
        return False

    def _local(self, name: str) -> LocalModel:
        weights = self.folder / f"{name}.gguf"
        weights.write_bytes(b"GGUF")
        return LocalModel(f"local:{weights}")
