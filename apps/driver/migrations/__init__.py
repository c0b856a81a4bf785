"""Migrations of driver."""
