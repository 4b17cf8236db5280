"""How fast Sluice is, all the way from a request to a recorded receipt, and what that costs."""
