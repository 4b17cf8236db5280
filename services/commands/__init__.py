"""What operators and producers type: one file a command, run once and gone."""
