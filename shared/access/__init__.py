"""Pure: what proves who is asking: the platform's keys and the tokens made with them."""
