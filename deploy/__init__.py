"""Ways of bringing Sluice up."""
