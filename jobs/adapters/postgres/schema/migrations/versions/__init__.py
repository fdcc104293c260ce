"""One file per step, each expanding or contracting so that the release before still runs."""
