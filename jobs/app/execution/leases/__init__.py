"""The leases of the runs that this process executes, and what depends on them."""
