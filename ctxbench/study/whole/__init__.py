"""Whole networks trained with several blocks, or settings, from several seeds."""
