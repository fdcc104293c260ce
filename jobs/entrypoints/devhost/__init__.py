"""The app on a developer's machine; never deployed."""
