"""What kind of context a block can use: generated maps whose labels need one kind each."""
