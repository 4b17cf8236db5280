"""What an operator has set: the file it is written in, judged, compared, applied."""
