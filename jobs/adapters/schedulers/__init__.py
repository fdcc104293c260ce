"""What wakes jobs up."""
