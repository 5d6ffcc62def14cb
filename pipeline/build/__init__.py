"""The `build` and `plan` commands."""
