"""Faults under load: what is killed, wiped or stopped, and three books that must agree after."""
