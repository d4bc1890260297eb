"""What failing calls and breaking replies cost in random plans: properties that hold for all of them."""

from __future__ import annotations

from tests.faults import failures, replies


def test_a_recovery_makes_again_what_its_cone_has_and_nothing_else() -> None:
    runs = failures.measured(30, seed=7)
    assert {run.faults for run in runs} == {1, 2, 3}
    assert all(run.recoveries >= 1 for run in runs)
    assert not [run for run in runs if run.hung or run.lost or run.outside or run.astray]
    assert sum(run.made for run in runs) < sum(run.restarted for run in runs)
    assert all(one.met for one in failures.wanted(runs))
    runs[0].outside = 1
    assert [one.met for one in failures.wanted(runs)] == [True, True, False, True]


def test_the_same_seed_gives_the_same_plans() -> None:
    plans = [plan.text({}) for plan in failures.faulty_plans(5, seed=3)]
    assert plans == [plan.text({}) for plan in failures.faulty_plans(5, seed=3)]
    assert plans != [plan.text({}) for plan in failures.faulty_plans(5, seed=4)]


def test_a_reply_that_breaks_ends_the_run_and_makes_nothing_twice() -> None:
    runs = replies.measured(10, seed=5)
    assert all(one.met for one in replies.wanted(runs))
    outcomes = {(run.kind, run.answered) for run in runs}
    assert outcomes == {(replies.CUT, False), (replies.GARBAGE, True), (replies.ENDLESS, True)}
