"""Segmentation: networks, datasets, training, evaluation."""
