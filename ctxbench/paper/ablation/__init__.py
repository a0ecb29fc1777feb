"""What the ablations of the paper have in common."""
