"""The framework's version, which the wheel has too."""

__version__ = "0.9.0"
