"""Moving rows between databases: triggers, copies, comparisons, and the whole."""
