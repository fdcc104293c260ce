"""Run due jobs: alarm or poll → claim → execute → next_state → record → arm."""
