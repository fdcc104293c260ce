"""What the reconciler does to rows: housekeeping, and rows from before a clock was set back."""
