"""What a run looks like to a counter, and every way there is to count it."""
