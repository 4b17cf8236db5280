"""The limiter, the pace and the door against a real Redis."""
