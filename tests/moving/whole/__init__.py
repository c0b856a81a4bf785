"""The whole of a move, by its command."""
