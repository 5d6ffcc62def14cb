"""What a dataset is: fields, records, shard files, documents, claims, card, depth models.

Imports neither Beam stages nor TFDS; Beam is used for files only.
"""
