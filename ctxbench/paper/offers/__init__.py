"""What the paper puts on the shelf, a file for each kind of offer (:mod:`ctxbench.shelf`)."""
