"""Pure: what money is, and when a segment's debit is given back."""
