"""What a context keeps and enqueues, in a unit of work."""

import sqlalchemy as sa

from jobs.core.commands import EnqueueJob
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.status import JobStatus
from tests.support import Anything, handle_alarm, job


def test_a_completed_jobs_result_progress_and_follow_ups_are_kept_and_a_rolled_back_ones_are_not(
    make_runtime, registry, sql, notes
):
    ids = []

    def handle(args: Anything, ctx: JobContext) -> None:
        ctx.result = {"answer": 42}
        if ctx.job_name == "rolled back":
            with ctx.unit_of_work() as uow:
                ctx.enqueue(EnqueueJob(handler_name="Noop", job_name="never"))
                uow.rollback()
        with ctx.unit_of_work() as uow:
            uow.connection.execute(sa.text("insert into effects (note) values ('a')"))
            ids.append(ctx.enqueue(EnqueueJob(handler_name="Noop", job_name="follow-up")))
            assert sql("select 1 from jobs.jobs where job_name in ('follow-up', 'never')") == []
            ctx.progress(1.0, "done")
            uow.complete()

    registry.add_handler("Work", handle)
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("rolled back", "Work", retry={"base": "PT2S"})).id
    handle_alarm(runtime, AlarmName(job_id, 1))
    after = runtime.service.get(job_id)
    assert (after.status, after.result) == (JobStatus.COMPLETED, {"answer": 42})
    assert runtime.service.attempts(job_id)[0].result == {"answer": 42}
    assert runtime.service.get(ids[0]).job_name == "follow-up"
    assert sql("select 1 from jobs.jobs where job_name = 'never'") == []
