"""The command line, and what runs when."""
