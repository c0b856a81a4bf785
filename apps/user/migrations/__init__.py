"""Migrations of user."""
