"""Sessions over loopback sockets, against ourselves and against independent peers."""
