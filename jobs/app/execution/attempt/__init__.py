"""One attempt: from the claimed run to its result."""
