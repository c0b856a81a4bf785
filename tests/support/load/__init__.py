"""A project of three apps with a database each, behind real web servers and under load."""
