"""The only SQL: one file a concern; the connection comes first, callers open transactions."""
