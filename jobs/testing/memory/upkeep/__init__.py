"""What the reconciler does to rows, in memory: housekeeping, lost runs, and a clock that was set back."""
