"""The SMPP 3.4 protocol, both roles: pure codec, receipt text, session, and a bind kept alive."""
