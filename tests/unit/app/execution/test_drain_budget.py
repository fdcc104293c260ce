"""How long a drain goes on: it ends between runs, stays for those that last, and looks for due ones all the while."""

from jobs.app.execution.worker.drain_budget import DrainBudget


def test_without_leave_to_stay_it_ends_with_its_budget():
    budget = DrainBudget(100.0, 50, 0)
    assert budget.lasts(149.9, 3)
    assert not budget.lasts(150.1, 3)


def test_steady_work_of_short_runs_ends_it_soon_after_its_budget():
    budget = DrainBudget(100.0, 50, 1740)
    assert budget.lasts(149.9, 16)
    assert not budget.holds_back
    assert budget.lasts(150.1, 16)
    assert budget.holds_back, "nothing new is begun"
    assert not budget.lasts(150.2, 0)


def test_a_long_run_keeps_it_looking_for_due_jobs_up_to_the_limit():
    budget = DrainBudget(100.0, 50, 300)
    assert budget.lasts(150.1, 1)
    assert budget.lasts(151.1, 1)
    assert not budget.holds_back
    assert budget.lasts(200.9, 1)
    assert budget.lasts(201.2, 1)
    assert budget.holds_back
    assert not budget.lasts(400.1, 1)
