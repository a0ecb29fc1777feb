"""The paper's printed tables as data, and their comparison with what was measured."""
