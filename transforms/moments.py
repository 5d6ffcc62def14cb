"""Exact statistics of pixels as a Beam CombineFn."""

from collections.abc import Iterable

import apache_beam as beam

from fgbg.statistics import Integers, Moments


class MomentsFn(beam.CombineFn):
    """Combines image arrays into the Moments of all their pixels.

    uint8 or uint16 [..., channels], all of one kind -> Moments, or None without input.

    The result is exact for any order and grouping. Use it as `beam.CombineGlobally(MomentsFn())` or
    `beam.CombinePerKey(MomentsFn())`.
    """

    def create_accumulator(self) -> Moments | None:
        """Return the accumulator of no images."""
        return None

    def add_input(self, accumulator: Moments | None, images: Integers) -> Moments:
        """Return the accumulator with the pixels of one array added."""
        return _merge(accumulator, Moments.of(images))

    def merge_accumulators(self, accumulators: Iterable[Moments | None]) -> Moments | None:
        """Return the sum of the accumulators."""
        merged = None
        for moments in accumulators:
            if moments is not None:
                merged = _merge(merged, moments)
        return merged

    def extract_output(self, accumulator: Moments | None) -> Moments | None:
        """Return the accumulator itself."""
        return accumulator


def _merge(left: Moments | None, right: Moments) -> Moments:
    return right if left is None else left + right
