"""One file an adapter, named by the key that a carrier's row holds; see `carriers.contract`."""
