"""Sluice from the outside: what a producer sends, and what a phone gets."""
