"""What users write, as a type checker reads it: it refuses the lines that say so, with those words, and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from sqlalchemy import text

from jobs import EnqueueJob, JobContext, Limits, Rate, UnitsOfWork, UpdateJob, handler


class SyncShopArgs(BaseModel):
    shop: str


def key_of(args: SyncShopArgs) -> str:
    return args.shop


@handler("Checked", limits=Limits[SyncShopArgs](concurrency_key=lambda args: args.shop, per_key=1))
def checked(args: SyncShopArgs, ctx: JobContext) -> None:
    with ctx.unit_of_work() as uow:
        count: int = uow.connection.execute(text("select 1")).scalar_one()
        uow.connection.exec("select 1")  # refused: "Connection" has no attribute "exec"
        uow.session.add(args)
        uow.session.ad(args)  # refused: "Session" has no attribute "ad"
        uow.complete()
    ctx.result = {"count": count, "shops": [args.shop], "none": None}
    ctx.result = datetime.now(UTC)  # refused: Incompatible types in assignment
    ctx.result = {"at": datetime.now(UTC)}  # refused: Dict entry 0 has incompatible type
    ctx.metadata["Domain"].upper()  # refused: has no attribute "upper"


@handler(
    "Misspelt",
    limits=Limits[SyncShopArgs](
        concurrency_key=lambda args: args.shopp,  # refused: "SyncShopArgs" has no attribute "shopp"
    ),
)
def misspelt(args: SyncShopArgs) -> None: ...


@handler("Named", limits=Limits(concurrency_key=key_of, rate=Rate(1, per=timedelta(seconds=1))))
def named(args: SyncShopArgs) -> None: ...


@handler("Counted", limits=Limits(concurrency=3))
def counted(args: SyncShopArgs) -> None: ...


class Ledger:
    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units

    def note(self, entry: str) -> None:
        with self._units.begin() as uow:
            uow.connection.execute(text("insert into ledger (entry) values (:entry)"), {"entry": entry})
            uow.commit()


EnqueueJob(handler_name="A", payload=SyncShopArgs(shop="a"), schedule=timedelta(hours=1))
EnqueueJob(handler_name="A", payload={"shop": "a"}, schedule=datetime(2026, 12, 1, tzinfo=UTC), misfire="skip")
EnqueueJob(handler_name="A", schedule="@daily", job_name="a", timeout=timedelta(minutes=1), metadata={"Domain": "a"})
EnqueueJob(handler_name="A", schedule=30)  # refused: Argument "schedule" to "EnqueueJob" has incompatible type "int"
EnqueueJob(handler_name="A", schedul="@daily")  # refused: Unexpected keyword argument "schedul"
EnqueueJob(handler_name="A", on_conflict="ignore")  # refused: Argument "on_conflict" to "EnqueueJob"
UpdateJob(schedule=timedelta(hours=1), payload=SyncShopArgs(shop="a"), max_runs=None)
UpdateJob(job_name="a")  # refused: Unexpected keyword argument "job_name"
