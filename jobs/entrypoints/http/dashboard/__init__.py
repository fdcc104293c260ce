"""The dashboard: a static frame for everyone, and views rendered on the server for those who may read."""
