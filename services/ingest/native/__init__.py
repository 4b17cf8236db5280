"""The native API's face: what it reads, what it answers, how it says no."""
