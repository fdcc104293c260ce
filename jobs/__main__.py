"""``python -m jobs``: hands the command line what it may call."""

import sys

from jobs.bootstrap import create_closable_app, upgrade_database
from jobs.entrypoints.cli import Parts, main

sys.exit(main(sys.argv[1:], Parts(create_app=create_closable_app, upgrade_database=upgrade_database)))
