"""The result of a verification, for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.verify.faults import Faults


@dataclass(slots=True)
class Verdict:
    """What was found, and what was looked at.

    Attributes:
        directory: the dataset's folder.
        faults: what is wrong, in the order in which it was looked at.
        checked: what was compared with what, a line each.
        unchecked: what was not, and why.
        hint: what wrong records have in common, if anything.
    """

    directory: str
    faults: Faults = field(default_factory=Faults)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    hint: str = ""

    def describe(self) -> str:
        """All but the faults."""
        lines = ["", f"{self.directory} is {'wrong' if self.faults else 'right'}.", "", "  Checked:"]
        lines += [f"    {line}" for line in self.checked]
        return "\n".join([*lines, "", "  Not checked:", *(f"    {line}" for line in self.unchecked)])

    def complaint(self) -> str:
        """The first fault, how many more there are, and the next few."""
        first, *others = self.faults.first
        more = self.faults.count - 1
        lines = [f"{first}" + (f" ({more:,} more {'is' if more == 1 else 'are'} wrong)" if more else "")]
        return "\n".join([*lines, *(f"  {fault}" for fault in others), *([f"  {self.hint}"] if self.hint else [])])


def common_picture(wrong: Mapping[str, Counter[int]], names: Mapping[str, Sequence[str]]) -> str:
    """One sentence on what several wrong records have in common: a picture that is part of all of them.

    Args:
        wrong: "background" and "foreground": of how many wrong records each picture is part, by its index.
        names: names of the pictures of each kind.

    >>> common_picture({"background": Counter({1: 2}), "foreground": Counter({0: 1, 3: 1})}, {"background": ["a", "b"]})
    'All wrong records have background b: look at it in the background dataset.'
    """
    for kind, other in (("background", "foreground"), ("foreground", "background")):
        if len(wrong[kind]) == 1 < len(wrong[other]):
            (index,) = wrong[kind]
            return f"All wrong records have {kind} {names[kind][index]}: look at it in the {kind} dataset."
    return ""
