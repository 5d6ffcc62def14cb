"""Counter-based random numbers: the same seed and counter give the same bits in any process and any order."""

import numpy as np
import numpy.typing as npt

# Independent streams for one seed: the stream number is the second half of the generator's key.
PLACEMENT_STREAM = 0
HELD_OUT_STREAM = 1
SHUFFLE_STREAM = 2

# TensorFlow's default of 4 rounds keeps neighbours close together in large products: with 4 billion examples, the rank
# correlation of neighbouring outputs was 0.70 with 4 rounds and 0.00 with 8 or more. The smallest Simon cipher uses 32.
_SHUFFLE_ROUNDS = 32


def random_words(seed: int, stream: int, counters: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Return four random 64-bit words for each counter: uint64 [n, 4], a pure function of (seed, stream, counter).

    The words are one block of Philox-4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
    NumPy guarantees that its output does not change between versions.

    >>> random_words(0, 0, np.array([7, 8]))[0].tolist() == random_words(0, 0, np.array([7]))[0].tolist()
    True
    """
    generator = np.random.Philox(key=np.array([seed, stream], np.uint64))
    words = np.empty((len(counters), 4), np.uint64)
    position = 0
    # Advancing one generator takes about a fifth of the time of creating a generator for each counter.
    for row in np.argsort(counters):
        generator.advance(int(counters[row]) - position)
        words[row] = generator.random_raw(4)
        position = int(counters[row]) + 1
    return words


def uniform_integers(words: npt.NDArray[np.uint64], bounds: npt.NDArray[np.int64] | int) -> npt.NDArray[np.int64]:
    """Return integers in 0 .. bound-1, almost uniformly distributed: int64 of the broadcast shape.

    Uses Lemire's multiplication method on the upper 32 bits. The deviation from uniform is below bound / 2**32.

    >>> uniform_integers(np.array([0, 2**64 - 1], np.uint64), 10).tolist()
    [0, 9]
    """
    upper = words >> np.uint64(32)
    return ((upper * np.asarray(bounds, np.uint64)) >> np.uint64(32)).astype(np.int64)


def shuffled_indices(positions: npt.NDArray[np.int64], size: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the entries at `positions` of a pseudo-random permutation of 0 .. size-1: int64 [n].

    Needs no table of `size` entries: TensorFlow's stateless index shuffle is a format-preserving Simon cipher.
    """
    import tensorflow as tf  # slow to import, and only workers need it

    key = np.array([seed & 0xFFFFFFFF, seed >> 32, SHUFFLE_STREAM], np.uint32)
    shuffled = tf.raw_ops.RandomIndexShuffle(
        index=positions.astype(np.int64), seed=key, max_index=np.int64(size - 1), rounds=_SHUFFLE_ROUNDS
    )
    return shuffled.numpy()
