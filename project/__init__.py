"""The sample project: three apps, each free to have a database of its own."""
