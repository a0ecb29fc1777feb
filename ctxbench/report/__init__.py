"""Tables and figures made from records; nothing here measures."""
