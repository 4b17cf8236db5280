"""What every HTTP face of a service shares: reading bodies, and saying why a request is refused."""
