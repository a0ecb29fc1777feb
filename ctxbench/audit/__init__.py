"""Which way of counting gives a printed number."""
