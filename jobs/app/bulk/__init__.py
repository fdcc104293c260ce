"""Operations on many jobs: previewed, run as a job of the framework's own, and once per job."""
