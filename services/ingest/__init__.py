"""Request in, paid message out: the door, accept, relay."""
