"""What can be wrong, and where."""

from dataclasses import asdict, dataclass, field
from typing import Any

# So many faults are kept to be shown; all are counted.
_KEPT = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        file: the file it is in, usually a shard.
        reason: what is wrong with it.
        record: number of the record in the shard, from 0.
        field: name of the field, or of the entry of a JSON file.
    """

    file: str
    reason: str
    record: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        record = "" if self.record is None else f", record {self.record}"
        return f"{self.file}{record}{f', {self.field}' if self.field else ''}: {self.reason}"


@dataclass(slots=True)
class Faults:
    """The first few faults in order, and how many there are in all."""

    first: list[Fault] = field(default_factory=list)
    count: int = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, fault: Fault) -> None:
        """Add one after the others."""
        self.extend(Faults([fault], 1))

    def extend(self, others: "Faults") -> None:
        """Add some after the others."""
        self.first = (self.first + others.first)[:_KEPT]
        self.count += others.count

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Faults":
        """The inverse of `to_json`."""
        return cls([Fault(**one) for one in content["first"]], content["count"])
