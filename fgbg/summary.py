"""From the summaries of shards to one summary of everything that was made."""

from dataclasses import dataclass, field

from fgbg.errors import RunError
from fgbg.placement_counts import PlacementCounts
from fgbg.shard_files import FieldSummary


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """What the manifest keeps of a shard: its file name, number of records, bytes and sha256."""

    file: str
    examples: int
    size: int
    sha256: str


@dataclass(slots=True)
class SplitSummary:
    """All shards of one split.

    Attributes:
        count: how many shards the split has when it is complete.
        shards: the shards that were seen, by number.
        fields: summary of each image field over these shards.
        placements: counts over their examples; None in a companion dataset.
    """

    count: int
    shards: dict[int, ShardRecord] = field(default_factory=dict)
    fields: dict[str, FieldSummary] = field(default_factory=dict)
    placements: PlacementCounts | None = None

    @property
    def examples(self) -> int:
        """Number of records."""
        return sum(shard.examples for shard in self.shards.values())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(shard.size for shard in self.shards.values())

    @property
    def ordered_shards(self) -> list[ShardRecord]:
        """The shards by number.

        Raises:
            RunError: one is missing.
        """
        missing = [index for index in range(self.count) if index not in self.shards]
        if missing:
            raise RunError(
                f"{len(missing)} of {self.count} shards were not made (the first is number {missing[0]}): the runner"
                f" lost"
                " them; run the same command again, with another --runner if it happens again."
            )
        return [self.shards[index] for index in range(self.count)]

    def add(
        self,
        shards: dict[int, ShardRecord],
        fields: dict[str, FieldSummary],
        placements: PlacementCounts | None,
    ) -> None:
        """Add shards that this summary does not hold yet.

        Raises:
            RunError: a shard would be counted twice.
        """
        if twice := self.shards.keys() & shards.keys():
            raise RunError(f"The shard {self.shards[min(twice)].file} was counted twice.")
        self.shards |= shards
        for name, summary in fields.items():
            self.fields[name] = self.fields[name] + summary if name in self.fields else summary
        if placements is not None:
            self.placements = placements if self.placements is None else self.placements + placements


# (dataset, split) -> summary
BuildSummary = dict[tuple[str, str], SplitSummary]
