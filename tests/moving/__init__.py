"""Moving an app, on real servers."""
