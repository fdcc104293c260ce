"""The heavy checks of schedules: ``python -m tests.schedules oracle | fuzz | every | golden``. Each prints its seed."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from random import Random

from jobs.core.schedules.expression import MAX_EXPRESSION, parse_schedule
from jobs.core.schedules.recurrence import Recurrence
from tests.schedules.comparison import Tally, compare
from tests.schedules.expressions import expressions
from tests.schedules.fuzz import LIMIT_SECONDS, fuzz
from tests.schedules.golden import FILE, answer, disagreement, lines, question, write
from tests.schedules.turns import turns


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.schedules")
    commands = parser.add_subparsers(required=True)
    oracle = commands.add_parser("oracle", help="every change of clocks, against a walk through the minutes")
    oracle.add_argument("--expressions", type=int, default=240, help="how many, at least the chosen ones")
    oracle.add_argument("--years", type=int, nargs=2, default=(2025, 2035), metavar=("FIRST", "LAST"))
    oracle.add_argument("--every", type=int, default=1, help="only every n-th change, for a quick look")
    oracle.set_defaults(run=_oracle)
    fuzzed = commands.add_parser("fuzz", help="any text is a schedule or refused, within a quarter of a second")
    fuzzed.add_argument("--texts", type=int, default=1_000_000)
    fuzzed.set_defaults(run=_fuzz)
    every = commands.add_parser("every", help="@every 7s, run after run, against the arithmetic")
    every.add_argument("--runs", type=int, default=1_000_000)
    every.set_defaults(run=_every)
    golden = commands.add_parser("golden", help="check the golden file against implementation and oracle")
    golden.add_argument("--write", action="store_true", help="write it anew; look at the difference before you keep it")
    golden.set_defaults(run=_golden)
    for command in (oracle, fuzzed, every, golden):
        command.add_argument("--seed", type=int, default=2026)
    chosen = parser.parse_args()
    return int(chosen.run(chosen))


def _oracle(chosen: argparse.Namespace) -> int:
    random = Random(chosen.seed)
    texts = expressions(chosen.expressions, random)
    found = turns(*chosen.years)[:: chosen.every]
    zones = {turn.zone for turn in found}
    names = sum(len(zone.names) for zone in zones)
    print(
        f"seed {chosen.seed}: {len(texts)} expressions around {len(found)} changes of clocks, "
        f"{chosen.years[0]}-{chosen.years[1]}, in {names} zones ({len(zones)} with data of their own)",
        flush=True,
    )
    tally, began = Tally(), time.monotonic()
    for number, turn in enumerate(found):
        compare(turn, texts, random, tally)
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(found)}", end="", file=sys.stderr)
    print(
        f"{tally.cases} comparisons, {tally.runs} runs: {tally.missed} missed, {tally.doubled} doubled; "
        f"{time.monotonic() - began:.0f} s"
    )
    print(*tally.faults, sep="\n", end="\n" if tally.faults else "")
    return 1 if tally.missed or tally.doubled else 0


def _fuzz(chosen: argparse.Namespace) -> int:
    outcome = fuzz(chosen.texts, chosen.seed)
    print(
        f"seed {chosen.seed}: {outcome.texts} texts of up to {MAX_EXPRESSION} characters: {outcome.accepted} accepted, "
        f"{outcome.refused} refused by InvalidSchedule, nothing else raised; {outcome.seconds:.0f} s of CPU, slowest "
        f"{outcome.slowest * 1000:.1f} ms: {outcome.slowest_text!r}"
    )
    return 1 if outcome.slowest >= LIMIT_SECONDS else 0


def _every(chosen: argparse.Namespace) -> int:
    anchor = datetime.fromtimestamp(Random(chosen.seed).uniform(1.7e9, 1.8e9), UTC)
    recurrence = Recurrence(parse_schedule("@every 7s"), anchor)
    at, drift = anchor, timedelta()
    for number in range(1, chosen.runs + 1):
        # Each run ends late, at a time of its own, and the next is reckoned from the instant that it stood for.
        occurrence = recurrence.following(at, at + timedelta(microseconds=number % 7_000_000), number, Random(0))
        assert occurrence is not None
        at = occurrence.scheduled_for
        drift = max(drift, abs(at - (anchor + number * timedelta(seconds=7))))
    print(
        f"seed {chosen.seed}: {chosen.runs} runs of @every 7s after {anchor.isoformat()}, drift {drift}; last at {at}"
    )
    return 1 if drift else 0


def _golden(chosen: argparse.Namespace) -> int:
    if chosen.write:
        print(f"seed {chosen.seed}: {write(chosen.seed)} lines written to {FILE.name}")
        return 0
    known = lines()
    changed = [line for line in known if line != (case := question(line)) | answer(case)]
    faults = [fault for line in known if (fault := disagreement(question(line)))]
    print(f"{len(known)} lines: {len(changed)} mean something else now, {len(faults)} are not what the rules want")
    print(*changed, *faults, sep="\n")
    return 1 if changed or faults else 0


if __name__ == "__main__":
    sys.exit(main())
