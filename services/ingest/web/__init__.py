"""What every HTTP face stands behind: who asks, how often, and how much is read."""
