"""The verb that trains a segmentation network."""
