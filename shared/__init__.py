"""Rooms shared by the services: each is a noun of the trade, and imports go one way (ARCHITECTURE.md)."""
