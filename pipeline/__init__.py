"""The command line, and what runs when."""

# Read by setup.py; the code itself knows it, so that it is right in a checkout, too.
__version__ = "0.1.0"
