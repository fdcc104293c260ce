"""Run due jobs: alarm or poll → claim → execute → decide → record → arm."""
