"""Throughput beside pgqueuer: ``python -m tests.benchmarks``. One Postgres, two databases, alternating rounds."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable

warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")

from tests.benchmarks.ours import Ours  # noqa: E402  the filter must come first
from tests.benchmarks.report import heading, table  # noqa: E402
from tests.benchmarks.rounds import DISCIPLINES, Contender, Miscount, measure, time_once  # noqa: E402
from tests.benchmarks.server import Server, embedded_server  # noqa: E402

_NO_PEER = """pgqueuer, which the figures are compared with, is not installed ({error}).
Install what the tests need with `pip install -r requirements-dev.txt`, or measure this engine alone: --ours-only."""


def main() -> int:
    options = _options()
    make_peer: Callable[[str], Contender] | None = None
    if not options.ours_only:
        try:
            from tests.benchmarks.peer import Peer

            make_peer = Peer
        except ModuleNotFoundError as error:
            print(_NO_PEER.format(error=error), file=sys.stderr)
            return 2
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", file=sys.stderr, flush=True)

    tell("starting Postgres")
    with embedded_server() as server:
        contenders: list[Contender] = [Ours(server.create("ours"))]
        if make_peer is not None:
            contenders.append(make_peer(server.create("peer")))
        try:
            lines = _run(server, contenders, options, tell)
        except Miscount as error:
            print(f"the benchmark is void: {error}", file=sys.stderr)
            return 1
        finally:
            for contender in contenders:
                contender.close()
    print("\n".join(lines))
    print(f"\n{time.monotonic() - began:.0f} s in all; load average at the end {os.getloadavg()[0]:.1f}")
    return 0


def _run(
    server: Server, contenders: list[Contender], options: argparse.Namespace, tell: Callable[[str], None]
) -> list[str]:
    load = f"load average at the start {os.getloadavg()[0]:.1f}"
    chosen = [one for one in DISCIPLINES if options.only in (None, one.group)]
    for contender in contenders:
        for discipline in chosen:
            tell(f"warming up {contender.name}: {discipline.name}")
            time_once(contender, discipline, options.jobs // 10, server.checkpoint)
    tried: list[str] = []
    for contender in contenders if DISCIPLINES[0] in chosen else []:
        tell(f"looking for the best setup of {contender.name}")
        tried += contender.tune(options.jobs, _drain_once(contender, options.jobs, server))
    for line in tried:
        tell(line)
    results = [
        measure(contenders, one, max(1, int(options.jobs * one.share)), options.rounds, server.checkpoint, tell)
        for one in chosen
    ]
    about = heading(contenders, server.version, options.rounds)
    return [*about, *tried, load, "", *table(results, contenders)]


def _drain_once(contender: Contender, jobs: int, server: Server) -> Callable[[], float]:
    return lambda: time_once(contender, DISCIPLINES[0], jobs, server.checkpoint)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each figure (default 5)")
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs of each round; a tenth for single enqueues")
    parser.add_argument("--only", choices=sorted({one.group for one in DISCIPLINES}), help="measure this alone")
    parser.add_argument("--ours-only", action="store_true", help="leave pgqueuer out")
    options = parser.parse_args()
    if options.rounds < 1 or options.jobs < 10:
        parser.error("at least 1 round and 10 jobs")
    return options


if __name__ == "__main__":
    sys.exit(main())
