"""Pure: what money is, the movements there are, and when a segment's debit is given back."""
