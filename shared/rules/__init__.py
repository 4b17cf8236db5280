"""Who may send what, from which line, to where, at which price, and why not. Pure, no I/O."""
