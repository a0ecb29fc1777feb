"""The verbs that regenerate the paper and decode its numbers."""
