"""What statistics, lists and exports cost an account with ten million messages."""
