"""Django's own tests with the hooks for relations: the same results as without."""
