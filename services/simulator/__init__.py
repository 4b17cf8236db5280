"""A carrier to practise on: SMPP and HTTP, with moods, a journal of all it took, and counters."""
