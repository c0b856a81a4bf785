"""Accounts: the user model of the sample project."""
