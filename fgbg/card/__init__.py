"""The card of a dataset: README.md and its pictures."""
