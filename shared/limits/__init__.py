"""The limiter: permits for segments, a carrier's pace, the API's door. In Redis, rebuilt from
PostgreSQL."""
