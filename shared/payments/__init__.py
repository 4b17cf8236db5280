"""Providers of card payments: the contract, and the adapters by which they are spoken to."""
