"""Which row of a run to take: what fits a budget, what does not and by how much, and what is best of it."""
