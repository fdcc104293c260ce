"""What a job and its runs are, and how they get from one state to the next."""
