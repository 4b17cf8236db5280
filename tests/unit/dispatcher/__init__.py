"""Pieces of the dispatcher that need no server."""
