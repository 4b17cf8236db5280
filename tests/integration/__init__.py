"""Parts of Sluice against the real servers they need."""
