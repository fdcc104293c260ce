"""Set, acknowledge and withdraw alarms."""
