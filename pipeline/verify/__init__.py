"""The `verify` and `report` commands."""
