"""What an SMS is: its alphabet, its segments, its numbers and its senders. Pure, no I/O."""
