"""Relations whose two models live in different physical databases."""
