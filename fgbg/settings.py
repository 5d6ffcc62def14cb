"""Names, choices and defaults that the command line shares with the code below it. Imports nothing."""

FORMAT = 2
"""The format of datasets; docs/format.md says when it is raised: when the same inputs and flags give other bytes."""

# In format 1, a cut-out that was reduced may have transparent rows at its edge; what follows from it is the same.
VERIFIABLE_FORMATS = (1, FORMAT)
"""Formats that `verify` accepts."""

FILE_FORMATS = ("tfrecord", "array_record")
"""Formats of shards."""

SPLIT_BY = ("background", "foreground", "example")
"""What the splits of a dataset do not share."""

LOSSLESS = "png"
"""What a configuration says instead of a JPEG quality."""

NO_DEPTH = "none"
"""The value of `--depth_model` for a dataset without depth."""

PICTURE_MEMORY = 512 << 20
"""Bytes of decoded pictures that a process keeps by default: 1,780 backgrounds of 224x224 pixels."""

# The largest numbers that a configuration may hold. Pictures are decoded as a whole, the ids of a shard are one array,
# and the number of an example fits into 64 bits.
LARGEST_IMAGE = 16_384
MOST_PLACEMENTS = 1_000_000_000
MOST_EXAMPLES_PER_SHARD = 10_000_000
MOST_EXAMPLES = 2**62
