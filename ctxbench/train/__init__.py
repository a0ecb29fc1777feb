"""Training a segmentation network: its settings, its loop, and the folder it leaves."""
