"""Builds that are killed at random moments, two at a time, and run again: always the same bytes in the end.

    python benchmarks/random_kills.py --kills 50

SIGKILL hits any process of a build, launcher or worker; of `report`; and builds whose folder another configuration has
just claimed. Every command is a fork of this process, which has loaded the libraries, so that a kill takes seconds.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import commands
from tests.end_to_end.helpers import Inputs, content, dataset_folder, draw_background, draw_foreground

SIDE = 48
# 4 x 3 x 2 x 4 = 96 examples in 12 shards; lossless, so that a shard takes a moment.
FLAGS = (f"--image_size={SIDE}", "--placements=4", "--examples_per_shard=8", "--jpeg_quality=png")
THREADS = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")
PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
# A launcher whose worker was killed may wait for it.
PATIENCE_SECONDS = 180.0


@dataclass
class Command:
    """A command in a process group of its own."""

    process: int
    errors: Path
    status: int | None = None

    @classmethod
    def start(cls, arguments: Sequence[str], folder: Path) -> "Command":
        """Fork; the child runs the command."""
        handle, errors = tempfile.mkstemp(dir=folder, suffix=".err")
        process = os.fork()
        if process == 0:
            os.setsid()
            os.dup2(handle, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            try:
                status = commands.run(arguments)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                status = 70
            os._exit(status)
        os.close(handle)
        return cls(process, Path(errors))

    def poll(self) -> bool:
        """Whether it runs."""
        if self.status is None:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def wait(self) -> int:
        """Its exit status; killed when it takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.poll():
            if time.monotonic() > deadline:
                os.kill(self.process, signal.SIGKILL)
            time.sleep(0.01)
        assert self.status is not None
        return self.status

    def sentence(self) -> str:
        """What it said last."""
        lines = self.errors.read_text().splitlines()
        return next((line for line in reversed(lines) if line.startswith("fgbg: ")), "")

    def members(self) -> list[int]:
        """Its living processes, itself among them."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[2] == str(self.process) and fields[0] != "Z":
                found.append(int(entry.name))
        return found


class Trial:
    """Kills commands on one data directory after the other."""

    def __init__(self, folder: Path, inputs: Inputs, reference: dict[str, bytes], seconds: float, seed: int) -> None:
        self.folder = folder
        self.inputs = inputs
        self.reference = reference
        self.seconds = seconds
        self.draw = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self.rounds = 0

    def run(self, kills: int) -> None:
        """So many kills, and every dataset is brought to its end and compared."""
        while self.kills.total() < kills:
            data_dir = self.folder / f"data{self.rounds}"
            self._play(data_dir, kills)
            assert content(data_dir) == self.reference, f"{data_dir} has other bytes than an uninterrupted build"
            shutil.rmtree(data_dir)
            self.rounds += 1
            print(f"{self.rounds} datasets, {dict(self.kills)} killed", file=sys.stderr, flush=True)

    def _play(self, data_dir: Path, kills: int) -> None:
        overwritten = self.rounds % 4 == 1
        started: list[Command] = []
        if overwritten:
            # The launcher of another configuration is killed when it has begun; its workers live on for a while.
            other = self._build(data_dir, *PROCESSES, "--seed=1")
            deadline = time.monotonic() + PATIENCE_SECONDS
            while other.poll() and not list(dataset_folder(data_dir).glob("fg_bg_depth-*")):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            self._kill(other, "launcher", other.process)
            other.wait()
            started.append(other)
        while True:
            flags = PROCESSES if self.draw.random() < 0.15 else THREADS
            more = ("--overwrite",) if overwritten else ()
            racing = [self._build(data_dir, *flags, *more) for _ in range(self.draw.choice((1, 1, 2)))]
            started += racing
            if self.kills.total() < kills:
                self._kill_one(racing)
            statuses = [command.wait() for command in racing]
            for command, status in zip(racing, statuses, strict=True):
                self._count("build", command, status)
            if 0 in statuses:
                break
        for _ in range(2):
            report = Command.start(["report", str(dataset_folder(data_dir))], self.folder)
            if self.kills.total() < kills:
                self._kill_one([report])
            self._count("report", report, report.wait())
        final = [
            Command.start(["report", str(dataset_folder(data_dir))], self.folder),
            self._build(data_dir),  # "complete already"; tidies up what a killed report left
        ]
        for command in final:
            if command.wait() == 2 and "another command is writing" in command.sentence():
                continue
            assert command.status == 0, command.errors.read_text()
        last = self._build(data_dir)
        assert last.wait() == 0, last.errors.read_text()
        for command in started:
            for member in command.members():
                os.kill(member, signal.SIGKILL)  # workers without a launcher, which would go on for a while

    def _build(self, data_dir: Path, *flags: str) -> Command:
        return Command.start(["build", *self.inputs.flags, f"--data_dir={data_dir}", *FLAGS, *flags], self.folder)

    def _kill_one(self, racing: Sequence[Command]) -> None:
        time.sleep(self.draw.uniform(0, 1.1 * self.seconds))
        living = [command for command in racing if command.poll()]
        if not living:
            return
        command = self.draw.choice(living)
        process = self.draw.choice(command.members() or [command.process])
        self._kill(command, "launcher" if process == command.process else "worker", process)

    def _kill(self, command: Command, kind: str, process: int) -> None:
        if command.poll():
            os.kill(process, signal.SIGKILL)
            self.kills[kind] += 1

    def _count(self, name: str, command: Command, status: int) -> None:
        sentence = command.sentence()
        if status in (0, -signal.SIGKILL):
            self.endings[f"{name}: {'finished' if status == 0 else 'killed'}"] += 1
        elif sentence and "Traceback" not in command.errors.read_text():
            kind = "refused" if "is writing" in sentence or "is not finished" in sentence else "failed"
            self.endings[f"{name}: {kind} in one sentence"] += 1
        else:
            # A runner that lost its worker reports that in its own words.
            self.endings[f"{name}: failed as the runner lost a worker"] += 1


def main() -> None:
    """Print what was killed, how the commands ended, and that all bytes are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    # Loaded once, for all forks; nothing of TensorFlow runs here.
    import matplotlib.figure  # noqa: F401
    import tensorflow  # noqa: F401
    import tensorflow_datasets  # noqa: F401

    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fgbg-kills-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        for i in range(4):
            draw_background(folder / f"backgrounds/b{i}.png", SIDE, SIDE, i)
        for i in range(3):
            draw_foreground(folder / f"foregrounds/f{i}.png", 30 + i, 24, i)
        inputs = Inputs(folder / "backgrounds", folder / "foregrounds")
        before = time.monotonic()
        reference = Command.start(
            ["build", *inputs.flags, f"--data_dir={folder / 'reference'}", *FLAGS, *THREADS], folder
        )
        assert reference.wait() == 0, reference.errors.read_text()
        seconds = time.monotonic() - before
        trial = Trial(folder, inputs, content(folder / "reference"), seconds, arguments.seed)
        trial.run(arguments.kills)
        print(f"{trial.kills.total()} kills ({', '.join(f'{n} of a {kind}' for kind, n in trial.kills.items())})")
        for ending, number in sorted(trial.endings.items()):
            print(f"  {number:3} x {ending}")
        print(
            f"{trial.rounds} datasets of {len(trial.reference)} files were brought to their end, each with the bytes of"
            f" an uninterrupted build, in {time.monotonic() - start:.0f} s."
        )


if __name__ == "__main__":
    main()
