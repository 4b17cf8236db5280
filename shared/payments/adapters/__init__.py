"""One file a provider; its name is what an operator writes."""
