"""Accuracy beside cost: heads with each block, trained on features of a network that is not trained."""
