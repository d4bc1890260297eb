"""What failing calls cost in random plans: properties that hold for all of them."""

from __future__ import annotations

from benchmarks import faults, short_page, streams
from benchmarks.comparing import RECORDED
from llmorch.testing import RecordedModel


def test_a_recovery_makes_again_what_its_cone_has_and_nothing_else() -> None:
    runs = faults.measured(40, seed=7)
    assert {run.faults for run in runs} == {1, 2, 3}
    assert all(run.recoveries >= 1 for run in runs)
    assert not [run for run in runs if run.hung or run.lost or run.outside or run.astray]
    assert sum(run.made for run in runs) < sum(run.restarted for run in runs)
    assert all(figure.met for figure in faults.figures(runs))


def test_a_call_that_is_made_once_more_than_it_should_be_is_seen() -> None:
    runs = faults.measured(3, seed=7)
    runs[0].outside = 1
    assert [figure.met for figure in faults.figures(runs)] == [True, True, False, True]


def test_the_same_seed_gives_the_same_plans() -> None:
    plans = [plan.text({}) for plan in faults.faulty_plans(5, seed=3)]
    assert plans == [plan.text({}) for plan in faults.faulty_plans(5, seed=3)]
    assert plans != [plan.text({}) for plan in faults.faulty_plans(5, seed=4)]


def test_a_reply_that_breaks_ends_the_run_and_makes_nothing_twice() -> None:
    runs = streams.measured(15, seed=5)
    assert all(figure.met for figure in streams.figures(runs))
    outcomes = {(run.kind, run.answered) for run in runs}
    assert outcomes == {(streams.CUT, False), (streams.GARBAGE, True), (streams.ENDLESS, True)}
    runs[0].twice = 1
    assert [figure.met for figure in streams.figures(runs)] == [True, False, True, True]
    assert f"| {streams.CUT} | 15 | 0 | 0 | 15 | 1 |" in streams.markdown(runs)


def test_a_page_that_was_too_short_is_searched_again_for_more_words() -> None:
    result, right = short_page.recovered(RecordedModel(RECORDED / "parallelqa.jsonl"))
    assert right
    table = short_page.markdown("recorded", result, right=right)
    assert "k=1000" in table
    assert "1 recoveries; the answer is right" in table
