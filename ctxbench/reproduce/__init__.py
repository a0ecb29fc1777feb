"""Regenerate the paper: each table and figure from measurements, beside what was printed."""
