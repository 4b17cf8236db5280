"""Receipt in, status out: callbacks, apply, late matches, unknown after the deadline."""
