"""Tests of the management commands, as their users run them."""
