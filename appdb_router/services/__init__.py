"""What the commands do, for Python to call."""
