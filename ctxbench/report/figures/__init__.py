"""What is drawn of records: a file for each kind of figure."""
