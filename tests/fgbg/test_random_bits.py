"""Random bits: a pure function of seed and counter that is stable across versions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgbg.errors import InputError
from fgbg.random_bits import random_words, shuffled_indices, uniform_integers
from pipeline.parser import parse

seeds = st.integers(0, 2**64 - 1)
counters = st.lists(st.integers(0, 2**62), min_size=1, max_size=20)


@given(seed=seeds, stream=st.integers(0, 2), counters=counters)
def test_words_are_philox_blocks(seed: int, stream: int, counters: list[int]) -> None:
    words = random_words(seed, stream, np.array(counters))
    for counter, row in zip(counters, words, strict=True):
        block = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=counter).random_raw(4)
        assert row.tolist() == block.tolist()


def test_words_are_stable_across_versions() -> None:
    # These bits determine every placement. If they changed, a dataset could not be reproduced.
    assert random_words(0, 0, np.array([0, 399_999])).tolist() == WORDS
    assert random_words(2**64 - 1, 1, np.array([2**40])).tolist() == WORDS_OF_LARGE_SEED


def test_command_line_accepts_64_bit_seeds_only() -> None:
    _, options, _ = parse(["plan", f"--seed={2**64 - 1}", "--data_dir=."])
    assert options.seed == 2**64 - 1
    with pytest.raises(InputError, match="argument --seed: 18446744073709551616 must be at most 18446744073709551615"):
        parse(["plan", f"--seed={2**64}", "--data_dir=."])


@pytest.mark.parametrize(("seed", "stream"), [(1, 0), (2**32, 0), (0, 1)])
def test_seeds_and_streams_change_the_words(seed: int, stream: int) -> None:
    same = random_words(0, 0, np.arange(100)) == random_words(seed, stream, np.arange(100))
    assert not same.any()


@given(bound=st.integers(1, 2**31), words=st.lists(seeds, min_size=1))
def test_uniform_integers_stay_below_their_bound(bound: int, words: list[int]) -> None:
    drawn = uniform_integers(np.array(words, np.uint64), bound)
    assert ((drawn >= 0) & (drawn < bound)).all()


@pytest.mark.parametrize("bound", [1, 2, 3, 115, 2**31])
def test_uniform_integers_reach_both_ends(bound: int) -> None:
    assert uniform_integers(np.array([0, 2**64 - 1], np.uint64), bound).tolist() == [0, bound - 1]


def test_uniform_integers_accept_one_bound_per_value() -> None:
    words = np.full(3, 2**64 - 1, np.uint64)
    assert uniform_integers(words, np.array([1, 10, 100])).tolist() == [0, 9, 99]


def test_uniform_integers_are_uniform() -> None:
    words = random_words(3, 0, np.arange(20_000)).ravel()
    counts = np.bincount(uniform_integers(words, 16), minlength=16)
    deviations = (counts - 5_000) / np.sqrt(5_000)
    assert np.abs(deviations).max() < 4


def test_shuffle_is_a_permutation_for_any_size() -> None:
    for size in [*range(1, 130), 255, 256, 257, 1_000, 65_536, 100_003]:
        assert np.array_equal(np.sort(shuffled_indices(np.arange(size), size, seed=size)), np.arange(size)), size


@given(seed=seeds, size=st.integers(1, 2**50), data=st.data())
def test_shuffled_entries_do_not_depend_on_their_batch(seed: int, size: int, data: st.DataObject) -> None:
    positions = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5)))
    together = shuffled_indices(positions, size, seed)
    alone = [int(shuffled_indices(positions[i : i + 1], size, seed)[0]) for i in range(len(positions))]
    assert together.tolist() == alone
    assert all(0 <= entry < size for entry in alone)


def test_shuffle_is_stable_across_versions() -> None:
    # These numbers determine the shard of each example. If they changed, a build could not be resumed.
    positions = np.array([0, 1, 2, 3, 399_999])
    assert shuffled_indices(positions, 400_000, seed=0).tolist() == SHUFFLED
    assert shuffled_indices(positions, 400_000, seed=2**64 - 1).tolist() == SHUFFLED_BY_LARGE_SEED


@pytest.mark.parametrize("seed", [1, 2**32])
def test_seed_changes_the_shuffle(seed: int) -> None:
    positions = np.arange(1_000)
    same = shuffled_indices(positions, 10**6, 0) == shuffled_indices(positions, 10**6, seed)
    assert same.sum() < 5


# With four billion examples, TensorFlow's default of 4 rounds keeps neighbours close together (correlation 0.7).
@pytest.mark.parametrize("size", [4_000, 400_000, 4_000_000_000])
def test_neighbours_are_not_correlated(size: int) -> None:
    shuffled = shuffled_indices(np.arange(4_000), size, seed=0).astype(float)
    assert abs(np.corrcoef(shuffled[:-1], shuffled[1:])[0, 1]) < 0.06
    assert abs(np.corrcoef(shuffled, np.arange(4_000))[0, 1]) < 0.06


WORDS = [
    [213000021201967259, 4455796210202625458, 2055444239878205049, 10411612076246414556],
    [12952454079833183286, 15698731350378140507, 6894547107818865225, 16994871961972813432],
]
WORDS_OF_LARGE_SEED = [[14538049919087320083, 1776439479231228499, 13746831546174657, 13076031346606505161]]
SHUFFLED = [220854, 174638, 391547, 41679, 153811]
SHUFFLED_BY_LARGE_SEED = [171377, 270809, 124344, 213279, 175583]
