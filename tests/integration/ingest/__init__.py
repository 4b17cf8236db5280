"""Ingest against real servers."""
