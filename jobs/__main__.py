"""``python -m jobs``: hands the command line what it may call."""

import sys
from pathlib import Path

from jobs.packages import packages_needed

with packages_needed(at_the_command_line=True):
    from jobs.bootstrap import build_offline_runtime, create_closable_app, load_registry
    from jobs.bootstrap.database import grant_rights, upgrade_database
    from jobs.entrypoints.cli.main import main
    from jobs.entrypoints.cli.parts import Parts
    from jobs.settings_checks import function_timeout
    from jobs.startup import check_before_start

parts = Parts(
    create_app=create_closable_app,
    upgrade_database=upgrade_database,
    load_registry=load_registry,
    make_runtime=build_offline_runtime,
    grant_rights=grant_rights,
    check_before_start=check_before_start,
    longest_run=function_timeout,
)
sys.exit(main(sys.argv[1:], parts, Path("local.settings.json")))
