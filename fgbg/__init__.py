"""What a dataset is: fields, records, shard files, documents, claims, card, depth models.

Imports neither Beam stages nor TFDS; Beam is used for files only.
"""

# setup.py reads it from here, so it is right in a checkout that is not installed, too.
__version__ = "0.1.0"
