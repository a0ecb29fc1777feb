"""A file for each data set: where its images and masks lie, and what their values mean."""
