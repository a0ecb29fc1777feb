"""The verbs about datasets."""
