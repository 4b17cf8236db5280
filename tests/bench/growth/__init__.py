"""Whether Sluice stays as fast with ten million messages behind it: a small and a large one, beside
each other on one machine."""
