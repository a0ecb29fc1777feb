"""The measuring stage: cases in, records out."""
