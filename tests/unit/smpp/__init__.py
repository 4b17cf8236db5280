"""The protocol without a socket: codec, framing, receipt text, window, pulse."""
