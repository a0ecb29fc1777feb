"""Scores of a network, or of predictions in files, on a data set."""
