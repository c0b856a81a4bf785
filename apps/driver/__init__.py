"""Drivers, their vehicles and the trips they make."""
