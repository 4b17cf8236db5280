"""The Aircall-shaped API's face: numbers, their modes, messages and webhooks, as its clients know
them."""
