"""Tests of routing and of everything else that happens behind the settings."""
