"""Ways of speaking to carriers: the contract, the outcomes, and one file per adapter."""
