"""Tests of what happens while the settings module loads."""
