"""A file for each table and figure of the paper, named by its number."""
