"""A block against others: the grid of trainings, its statistics, and where the cells run."""
