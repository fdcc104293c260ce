"""The schedulers, which hold alarms and wake jobs."""
