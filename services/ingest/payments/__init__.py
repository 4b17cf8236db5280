"""The face that the provider of card payments speaks to: its events."""
