"""Latencies compared: which records are pairs, the ratio of each with its interval, and the table of them."""
