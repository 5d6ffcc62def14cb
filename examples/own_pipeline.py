"""The public stages in your own Beam pipeline, with a stage of your own and your own output.

    python examples/own_pipeline.py --backgrounds samples/backgrounds --foregrounds samples/foregrounds --output night/

Lays every foreground over every background, darkens the composites as if at night, and writes a file for each shard,
`00000.npz` and so on, with `fg_bg`: uint8 [n, H, W, 3] and `mask`: uint8 [n, H, W]. Prints mean and standard deviation
of all pixels of the darkened composites. Other flags go to Beam.

`pipeline build` adds depth, TFDS files, resuming and checks of the inputs; this is what is left without them.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import numpy as np

from transforms import (
    AssetPaths,
    CompositeExamples,
    CrossProduct,
    ExampleBatch,
    ExpandPlacements,
    Moments,
    MomentsFn,
    PlacementRules,
    ShardLayout,
    make_splits,
)

IMAGE_SIZE = 128
# Smallest and largest longest side of a placed foreground, pixels.
SHORTEST, LONGEST = 50, 70
PLACEMENTS = 2
SEED = 0


def list_pictures(folder: Path) -> tuple[str, ...]:
    """Paths of all pictures below a folder, in a fixed order."""
    return tuple(sorted(str(path) for path in folder.rglob("*") if path.suffix in (".jpg", ".png")))


def plan(paths: AssetPaths) -> tuple[ShardLayout, PlacementRules]:
    """Which examples each shard contains, and what their placements are drawn from."""
    cutouts = [paths.load_cutout(index) for index in range(len(paths.foregrounds))]
    product = CrossProduct(len(paths.backgrounds), len(paths.foregrounds), PLACEMENTS)
    splits = make_splits(product, test_fraction=0, split_by="background", seed=SEED)
    sizes = tuple((cutout.shape[1], cutout.shape[0]) for cutout in cutouts)
    return (
        ShardLayout(product, splits, examples_per_shard=32, seed=SEED),
        PlacementRules(IMAGE_SIZE, SHORTEST, LONGEST, sizes, SEED),
    )


def darken(element: tuple[int, ExampleBatch]) -> tuple[int, ExampleBatch]:
    """A stage of your own: composites with half the brightness; masks stay as they are."""
    shard, batch = element
    return shard, replace(batch, fg_bg=batch.fg_bg // 2)


def save(element: tuple[int, ExampleBatch], folder: Path) -> None:
    """Your own output. Beam may run an element twice, so name and content depend only on the shard."""
    shard, batch = element
    np.savez(folder / f"{shard:05}.npz", fg_bg=batch.fg_bg, mask=batch.mask)


def describe(moments: Moments) -> str:
    """One line."""
    return f"mean {np.round(moments.mean, 2)}, std {np.round(moments.std, 2)}"


def main() -> None:
    """Make the files and print the statistics."""
    parser = argparse.ArgumentParser(description="Composites made dark, as .npz files.")
    for name in ("backgrounds", "foregrounds", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options, beam_flags = parser.parse_known_args()
    options.output.mkdir(parents=True, exist_ok=True)
    paths = AssetPaths(list_pictures(options.backgrounds), list_pictures(options.foregrounds), IMAGE_SIZE, LONGEST)
    layout, rules = plan(paths)

    with beam.Pipeline(argv=["--runner=FnApiRunner", *beam_flags]) as root:
        composites = (
            root
            | "ListShards" >> beam.Create(range(layout.num_shards))
            # Only shard numbers are redistributed; the images of a shard stay where they are made.
            | "SpreadShards" >> beam.Reshuffle()
            # shard: int
            | "ExpandPlacements" >> ExpandPlacements(layout, rules)
            # (shard, list[Placement])
            | "CompositeExamples" >> CompositeExamples(paths)
            # (shard, ExampleBatch)
            | "Darken" >> beam.Map(darken)
            # (shard, ExampleBatch)
        )
        _ = composites | "Save" >> beam.Map(save, folder=options.output)
        _ = (
            composites
            | "TakeImages" >> beam.MapTuple(lambda _, batch: batch.fg_bg)
            # uint8 [n, H, W, 3]
            | "AddUpPixels" >> beam.CombineGlobally(MomentsFn())
            # Moments
            | "Describe" >> beam.Map(describe)
            | "Print" >> beam.Map(print)
        )


if __name__ == "__main__":
    main()
