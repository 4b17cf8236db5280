"""Rooms shared by the services, each a noun of the trade; imports go one way (ARCHITECTURE.md)."""
