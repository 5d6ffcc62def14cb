"""The variants that benchmarks/transfer.py compares: one line each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """How the pairs are made that a network is trained on.

    Attributes:
        flags: of `build`, in addition to those that all variants share.
        jitter_apart: how far brightness, contrast and saturation of the composite alone change in training: see
            `tfds_builder.reading.jitter_colours`.
    """

    flags: tuple[str, ...] = ()
    jitter_apart: float = 0.0


VARIANTS = {
    # The composites as `build` makes them by default: outside of the mask, composite and background are equal.
    "plain": Variant(),
    # The same composites, in other light than their background.
    "light": Variant(jitter_apart=0.2),
}
