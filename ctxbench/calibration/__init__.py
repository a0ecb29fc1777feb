"""How often ``compare`` is right on this machine: equal cases and known differences, measured and judged."""
