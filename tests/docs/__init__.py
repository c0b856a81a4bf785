"""The documentation, tested: it is complete, its links resolve, and what it shows works."""
