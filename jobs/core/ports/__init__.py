"""What the core needs of the outside, one file per port. Adapters implement these and no more."""
