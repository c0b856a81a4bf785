"""Apps of the sample project."""
