"""Runs with faults that try to get a limit exceeded, on a real Redis and PostgreSQL."""
