"""Proving a finished dataset: everything that can be computed again is, and compared with what is stored.

Pure functions first (`pictures`, `depth`, `files`, `examples`, `companions`, `documents`), the transform that spreads
the shards over workers last (`shards`). Nothing is written into the dataset.
"""
