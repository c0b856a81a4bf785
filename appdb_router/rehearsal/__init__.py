"""Test runs as if apps had databases of their own: what they find, and how it is told."""
