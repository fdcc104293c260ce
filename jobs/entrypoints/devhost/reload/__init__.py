"""Load the app again when one of its files changes."""
