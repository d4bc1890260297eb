"""The question sets whose functions compute, on a rendered scene, invented news and the examples."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.questions import DataMissing
from benchmarks.sets import agnews, cases, kitti
from examples.tools import driving
from llmorch import Orchestrator
from llmorch.testing import ScriptedModel
from tests.benchmarks.invented import HEIGHT, TURNS, WIDTH, write_drive, write_frames, write_news

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.questions import Question, QuestionSet


def offered(questions: QuestionSet, data: Path, work: Path) -> dict[str, Callable[..., Any]]:
    return {call.__name__: call for call in questions.functions(data, work)}


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    write_frames(tmp_path / "kitti")
    return tmp_path


@pytest.fixture
def seen_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same drive, of which the first and the last two images are seen."""
    pytest.importorskip("cv2")
    from examples.tools import stereo

    monkeypatch.setattr(stereo, "DISPARITIES", 48)
    last = len(TURNS)
    write_drive(tmp_path / "kitti", (0, 1, last - 1, last))
    return tmp_path


def test_the_computed_turn_is_that_of_the_poses(seen_drive) -> None:
    turn_angle = offered(kitti.SET, seen_drive, seen_drive)["turn_angle"]
    assert turn_angle(image="000000.png") == pytest.approx(TURNS[0], abs=0.1)
    last = len(TURNS)
    assert turn_angle(image=f"{last:06d}.png") == pytest.approx(TURNS[-1], abs=0.1)  # from the one before it
    assert driving.turns_of(seen_drive / "kitti")[f"{last:06d}.png"] == pytest.approx(TURNS[-1])


def test_a_turn_is_computed_in_a_process_of_its_own(seen_drive) -> None:
    functions = kitti.SET.functions(seen_drive, seen_drive)
    orchestrator = Orchestrator(functions, model=ScriptedModel([]), processors=1)
    result = orchestrator.execute_sync('s1 = turn_angle(image="000000.png")\ns2 = difference(a=s1, b=1)')
    assert result.answer == pytest.approx(TURNS[0] - 1, abs=0.15)


def test_images_with_nothing_on_them_have_no_turn(drive) -> None:
    cv2, np = pytest.importorskip("cv2"), pytest.importorskip("numpy")
    turn_angle = offered(kitti.SET, drive, drive)["turn_angle"]
    with pytest.raises(ValueError, match=r"000003\.png: can't be read as an image"):
        turn_angle(image="000003.png")
    for path in drive.rglob("*.png"):
        cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH), "uint8"))
    with pytest.raises(ValueError, match="0 features in one of the images"):
        turn_angle(image="000003.png")


def test_an_image_that_is_not_there_is_answered_with_those_that_are(drive) -> None:
    images = driving.images_of(drive / "kitti")
    with pytest.raises(LookupError, match=r"there are 000000\.png to 000011\.png"):
        driving.step_of("000012.png", images)
    with pytest.raises(LookupError, match="neither the image after it nor the one before it is there"):
        driving.step_of("000003.png", ["000001.png", "000003.png", "000005.png"])


def test_the_questions_are_the_same_each_time_and_differ_from_each_other(drive) -> None:
    questions = kitti.SET.questions(drive)
    assert questions == kitti.SET.questions(drive)
    assert len({question.text for question in questions}) == len(questions) == kitti.COUNT
    assert len({question.id for question in questions}) == len(questions)


def test_a_question_is_answered_by_the_difference_of_the_groups_averages(drive) -> None:
    turns = {f"{number:06d}.png": turn for number, turn in enumerate([*TURNS, TURNS[-1]])}
    average, difference = (offered(kitti.SET, drive, drive)[name] for name in ("average", "difference"))
    for question in kitti.SET.questions(drive):
        a, b = question.details["a"], question.details["b"]
        assert len(a) == len(b) in (3, 4)
        assert not set(a) & set(b)
        right = difference(average([turns[image] for image in a]), average([turns[image] for image in b]))
        assert question.answer == pytest.approx(right, abs=1e-3)
        assert kitti.SET.right(question, right, drive)
        assert kitti.SET.right(question, f"System A ({a[0]}) turns by {right:.3f} degrees more.", drive)
        for wrong in (right + 0.3 + 0.2 * abs(right), "no idea", None, True, math.nan, "000012.png"):
            assert not kitti.SET.right(question, wrong, drive)


def test_no_example_is_about_images_of_a_drive(drive) -> None:
    text = kitti.SET.examples.read_text(encoding="utf-8")
    named = [int(image) for image in re.findall(r"(\d+)\.png", text)]
    assert min(named) > 100_000  # no drive of the set has as many


@pytest.mark.parametrize("side", ["image_l", "image_r"])
def test_a_folder_of_images_that_is_missing_is_named(tmp_path, side) -> None:
    (tmp_path / "kitti" / ("image_r" if side == "image_l" else "image_l")).mkdir(parents=True)
    with pytest.raises(DataMissing, match=rf"{side}: there is no such folder; .*https://"):
        kitti.SET.questions(tmp_path)


def test_a_pose_that_is_none_is_named_with_its_line(drive) -> None:
    path = drive / "kitti" / "poses.txt"
    path.write_text(path.read_text().replace("0 1 0", "0 1", 1))
    with pytest.raises(
        DataMissing, match=r"poses\.txt, line 1: not the 12 numbers of a 3x4 matrix; .*https://"
    ):
        kitti.SET.questions(drive)
    path.unlink()
    with pytest.raises(DataMissing, match=r"poses\.txt: No such file"):
        kitti.SET.questions(drive)


def test_too_few_images_are_no_question(drive) -> None:
    (drive / "kitti" / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * 5)
    with pytest.raises(DataMissing, match="4 images have a pose and a neighbour, and a question needs 6"):
        kitti.SET.questions(drive)


@pytest.fixture
def news(tmp_path: Path) -> Path:
    write_news(tmp_path / "agnews")
    return tmp_path


@pytest.fixture
def answered(news: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Question, Path, dict[str, Any]]:
    """A question whose five calls were made, one after the other."""
    for module in ("sklearn", "matplotlib"):
        pytest.importorskip(module)
    from examples.tools import topics

    monkeypatch.setattr(topics, "MOVES", 250)
    monkeypatch.setattr(topics, "PASSES", 5)
    monkeypatch.setattr(agnews, "ROWS", 30)
    question, work = agnews.SET.questions(news)[1], news / "work"
    work.mkdir()
    functions = offered(agnews.SET, news, work)
    rows = functions["read"]("some.csv", start=30, rows=30)
    report = f"{'First prepare the texts. ' * 8}\n{functions['tsne'](rows)}\n{functions['lda'](rows)}"
    functions["write"]("result/report.txt", report)
    return question, work, functions


def test_every_block_is_asked_about_in_every_wording(news, monkeypatch) -> None:
    monkeypatch.setattr(agnews, "ROWS", 25)
    questions = agnews.SET.questions(news)
    assert len(questions) == 2 * len(agnews.WORDINGS) == len({question.text for question in questions})
    assert "25 rows of some.csv, starting at row 25" in questions[1].text
    assert [question.answer for question in questions[:2]] == [question.answer for question in questions[2:4]]
    monkeypatch.setattr(agnews, "ROWS", 1000)
    assert [question.answer[:8] for question in agnews.SET.questions(news)] == ["60 texts"] * len(
        agnews.WORDINGS
    )


def test_pictures_and_a_report_of_the_right_rows_are_right(answered) -> None:
    question, work, functions = answered
    assert agnews.SET.right(question, None, work)
    assert sorted(path.name for path in work.rglob("*.*")) == [
        "lda.png",
        "report.txt",
        "some-30-30.csv",
        "tsne.png",
    ]
    report = (work / "result" / "report.txt").read_text(encoding="utf-8")
    assert "tsne.png: 30 texts of 4 classes" in report
    assert report.count("topic ") == 8
    (work / "result" / "report.txt").write_text(report[: report.index("topic 1")], encoding="utf-8")
    assert not agnews.SET.right(question, None, work)
    functions["write"]("result/report.txt", report[report.index("lda.png") :])
    assert not agnews.SET.right(question, None, work)  # no procedure
    (work / "result" / "report.txt").unlink()
    assert not agnews.SET.right(question, None, work)


def test_half_a_picture_and_one_of_other_rows_are_wrong(answered) -> None:
    question, work, functions = answered
    content = (work / "lda.png").read_bytes()
    (work / "lda.png").write_bytes(content[: len(content) // 2])
    assert not agnews.SET.right(question, None, work)
    (work / "lda.png").write_bytes(content)
    assert agnews.SET.right(question, None, work)
    functions["tsne"](functions["read"]("some.csv", start=29, rows=30))
    assert not agnews.SET.right(question, None, work)


def test_the_same_texts_have_the_same_topics_and_picture(answered) -> None:
    _, work, functions = answered
    before = (work / "tsne.png").read_bytes(), (work / "lda.png").read_bytes()
    rows = functions["read"]("some.csv", start=30, rows=30)
    assert functions["lda"](rows) == functions["lda"](rows)
    functions["tsne"](rows)
    assert before == ((work / "tsne.png").read_bytes(), (work / "lda.png").read_bytes())


def test_too_few_news_are_not_analysed(news) -> None:
    pytest.importorskip("sklearn")
    functions = offered(agnews.SET, news, news)
    for name in ("tsne", "lda"):
        with pytest.raises(ValueError, match="3 texts are too few"):
            functions[name](functions["read"]("some.csv", rows=3))


def test_remains_of_markup_are_no_words() -> None:
    pytest.importorskip("sklearn")
    from examples.tools.topics import plain

    assert (
        plain(r'a\b #36;10 &lt;A HREF="x"&gt;c&lt;/A&gt; it#39;s &quot;d quot;') == 'a b $10  c  it\'s "d "'
    )


@pytest.mark.parametrize("path", ["../outside.txt", "/outside.txt", ".", ""])
def test_nothing_is_written_outside_the_folder_of_a_run(news, path) -> None:
    (news / "work").mkdir()
    write = offered(agnews.SET, news, news / "work")["write"]
    with pytest.raises(ValueError, match="only files below the folder of this run can be used"):
        write(path, "text")
    assert [*(news / "work").iterdir()] == []
    assert not (news / "outside.txt").exists()


def test_a_file_that_is_not_there_is_answered_with_the_news_that_are(news) -> None:
    read = offered(agnews.SET, news, news)["read"]
    with pytest.raises(FileNotFoundError, match=r"other\.csv: there is no such file; there are some\.csv"):
        read("other.csv")
    with pytest.raises(ValueError, match="start is at least 0"):
        read("some.csv", start=-1)
    made = read("some.csv", start=58)
    assert [row["class"] for row in agnews.news_in(news / made)] == ["3", "4"]


def test_news_that_are_none_are_named_with_their_line(news) -> None:
    path = news / "agnews" / "some.csv"
    content = path.read_text(encoding="utf-8")
    path.write_text("Class,Title,Text\n" + content, encoding="utf-8")
    assert len(agnews.news_in(path)) == 60
    path.write_text(content + '"1","no text"\n', encoding="utf-8")
    with pytest.raises(DataMissing, match=r"some\.csv, line 61: not a class, a title and a text; .*https://"):
        agnews.SET.questions(news)
    path.unlink()
    with pytest.raises(DataMissing, match=r"agnews: there is no file \*\.csv; .*https://"):
        agnews.SET.questions(news)


@pytest.mark.parametrize("name", ["kitti", "agnews"])
def test_every_example_plan_can_be_run(name, drive, news) -> None:
    module = {"kitti": kitti, "agnews": agnews}[name]
    orchestrator = Orchestrator(
        module.SET.functions(drive, drive), model=ScriptedModel([]), examples=module.SET.examples
    )
    for block in module.SET.examples.read_text(encoding="utf-8").split("\n\n"):
        plan = orchestrator.check("\n".join(line for line in block.splitlines() if not line.startswith("#")))
        *others, last = plan.calls
        used = {name for call in [*others, last] for name in call.uses}
        assert {call.id for call in others} == used


def test_each_case_is_a_set_with_its_own_functions_and_examples(tmp_path) -> None:
    questions = cases.SET.questions(tmp_path)
    assert [question.id for question in questions] == ["seo_audit", "purchase_intent", "encryption"]
    for question in questions:
        case = question.details["set"]
        assert case.questions(tmp_path) == [question]
        assert case.examples.is_file()
        names = [*offered(case, tmp_path, tmp_path / question.id)]
        assert names == (
            ["chatbot", "aes"] if question.id == "encryption" else ["search", "chatbot", "python"]
        )
        assert not cases.SET.right(question, "Done.", tmp_path)
        assert not cases.SET.right(question, "I can't do that. " * 20, tmp_path)
    with pytest.raises(TypeError, match="the functions differ"):
        cases.SET.functions(tmp_path, tmp_path)


def test_a_case_is_answered_in_the_copy_of_its_folder(tmp_path) -> None:
    question = cases.SET.questions(tmp_path)[0]
    case = question.details["set"]
    report = "The SEO audit found a short title, no description, and headings that skip a level. " * 3
    orchestrator = Orchestrator(
        case.functions(tmp_path, tmp_path),
        model=ScriptedModel(["A good title has 50 characters.", report]),
        processors=case.processors,
        examples=case.examples,
    )
    result = orchestrator.execute_sync(
        (cases.EXAMPLES / question.id / "plan.txt").read_text(encoding="utf-8")
    )
    assert {call.status for call in result.calls} == {"completed"}
    assert cases.SET.right(question, result.answer, tmp_path)
    assert (tmp_path / "seo_audit" / "seo.py").is_file()


def test_the_encryption_is_right_when_both_files_are_encrypted(tmp_path, monkeypatch) -> None:
    pytest.importorskip("cryptography")
    question = cases.SET.questions(tmp_path)[2]
    aes = offered(question.details["set"], tmp_path, tmp_path)["aes"]
    monkeypatch.setitem(aes.__globals__, "VIDEO_MIB", 2)
    monkeypatch.setitem(aes.__globals__["SCRYPT"], "n", 1 << 10)
    answer = "The video and the chat text are encrypted; their entropy is close to eight bits a byte. " * 3
    aes("encrypt", "myvideo.mp4", "key")
    assert not cases.SET.right(question, answer, tmp_path)
    aes("encrypt", "chat.txt", "key")
    assert cases.SET.right(question, answer, tmp_path)
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.aes")} == {"encryption"}
    secret = tmp_path / "encryption" / ".llmorch" / "chat.txt.aes"
    plain = (cases.EXAMPLES / "encryption" / "chat.txt").read_bytes()
    secret.write_bytes(plain + bytes(44))
    assert not cases.SET.right(question, answer, tmp_path)
