"""Apps whose data is on the way to another database, as a running process sees them."""
