"""On a developer's machine each line that a handler logs names its job."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from jobs import HandlerRegistry, JobContext
from jobs.entrypoints.devhost.job_names import JobNamingFormatter, name_job
from jobs.testing import JobsHarness


class Args(BaseModel):
    pass


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is written of the root logger's records."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JobNamingFormatter(logging.Formatter("%(name)s: %(message)s")))
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def ran(function) -> str:
    """Run a job of ``function`` under the middleware of the dev host; returns how its lines must begin."""
    registry = HandlerRegistry()
    registry.add_handler("SendInvoice", function)
    registry.add_middleware(name_job)
    with JobsHarness(registry) as jobs:
        job = jobs.run_handler("SendInvoice", Args()).check().job
    return f"[SendInvoice/{job.job_name}/{job.id}] "


def test_a_line_of_a_handlers_own_logger_and_one_of_its_context_name_the_job(lines):
    def handle(args: Args, ctx: JobContext) -> None:
        logging.getLogger("shop.invoices").warning("%d sent", 3)
        ctx.logger.warning("by the context")

    name = ran(handle)
    assert f"shop.invoices: {name}3 sent\n" in lines.getvalue()
    assert f"jobs.handler: {name}by the context\n" in lines.getvalue()


def test_so_does_a_line_of_an_async_handler_and_of_the_context_on_another_thread(lines):
    async def handle(args: Args, ctx: JobContext) -> None:
        logging.getLogger("shop.invoices").warning("async")
        thread = threading.Thread(target=ctx.logger.warning, args=["threaded"])
        thread.start()
        thread.join()

    name = ran(handle)
    assert f"shop.invoices: {name}async\n" in lines.getvalue()
    assert f"jobs.handler: {name}threaded\n" in lines.getvalue()


def test_lines_of_the_framework_which_name_the_job_themselves_and_lines_of_no_job_stay_as_they_are(lines):
    def handle(args: Args) -> None:
        logging.getLogger("jobs.dispatcher").warning("of the framework")

    ran(handle)
    logging.getLogger("shop").warning("of no job")
    assert "jobs.dispatcher: of the framework\n" in lines.getvalue()
    assert "shop: of no job\n" in lines.getvalue()


def test_a_traceback_follows_its_line_as_ever(lines):
    def handle(args: Args) -> None:
        try:
            int("odd")
        except ValueError:
            logging.getLogger("shop").exception("failed")

    name = ran(handle)
    assert f"shop: {name}failed\nTraceback" in lines.getvalue()
    assert "ValueError: invalid literal" in lines.getvalue()
