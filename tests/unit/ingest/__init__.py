"""Ingest's pure parts."""
