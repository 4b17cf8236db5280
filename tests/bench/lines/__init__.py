"""Parking at scale: a hundred thousand lines, half of them with messages that wait for tokens."""
