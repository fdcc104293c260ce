"""The ports: interfaces that the core needs and adapters implement, one file each."""
