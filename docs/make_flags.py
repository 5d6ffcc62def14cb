"""Writes flags.md from the flags of the commands.

python -m docs.make_flags
"""

from pathlib import Path

from pipeline.common.flags import Flag, flags_of
from pipeline.parser import COMMANDS

PAGE = Path(__file__).with_name("flags.md")

_INTRODUCTION = """\
# Flags

<!-- Made by `python -m docs.make_flags`; change the flags in pipeline/*/options.py. -->

`fgbg COMMAND --help` prints the same. `python -m pipeline COMMAND` is the same program. If the first argument is a
flag, the command is `build`. `fgbg --help` lists the commands; `fgbg --version` prints the version of the program.

PATH and DIR are a folder or a URI of any Beam filesystem; where pictures are read, also a glob. Flags that are not
listed here go to Apache Beam, for example `--runner`, `--project` or `--direct_num_workers`; see
[cluster.md](cluster.md)."""

# What is worth knowing about a command beside its flags.
_NOTES = {
    "build": "Without Beam flags it runs in this process with a thread per core, at most 4."
    " `--direct_running_mode=multi_processing --direct_num_workers=8` uses processes instead. See"
    " [inputs.md](inputs.md) for the pictures and [depth.md](depth.md) for depth.",
    "plan": "It takes the flags of [build](#build). With `--runner=DataflowRunner`, `--machine_type`,"
    " `--max_num_workers` or `--accelerator` it also estimates hours and dollars; see [cluster.md](cluster.md).",
    "verify": "See [verify.md](verify.md).",
    "report": "See [verify.md](verify.md).",
    "export": "It runs on the local machine and takes no Beam flags. See [export.md](export.md).",
    "cutout": "See [cutout.md](cutout.md).",
}


def flags_page() -> str:
    """The text of flags.md."""
    sections = [_INTRODUCTION]
    for name, command in COMMANDS.items():
        positional = "".join(f" {flag.metavar}" for flag in flags_of(command.options).values() if flag.positional)
        sections += [f"## {name}", f"`fgbg {name}{positional} [FLAGS]`: {command.summary}. {_NOTES[name]}"]
        if name != "plan":  # its flags are those of build
            sections += _tables(command.options)
    return "\n\n".join(sections) + "\n"


def _tables(options: type) -> list[str]:
    """A table for each group of flags, below its heading."""
    groups: dict[str | None, list[str]] = {}
    for name, flag in flags_of(options).items():
        if not flag.positional:
            groups.setdefault(flag.group, ["| flag | default | meaning |", "| --- | --- | --- |"]).append(
                _row(name, flag)
            )
    parts = []
    for group, rows in groups.items():
        if group is not None:
            title, _, remark = group.partition(" (")
            parts.append(f"### {title.capitalize()}")
            if remark:
                parts.append(f"{remark[0].upper()}{remark[1:].rstrip(')')}.")
        parts.append("\n".join(rows))
    return parts


def _row(name: str, flag: Flag) -> str:
    meaning = flag.help
    if flag.choices:
        unnamed = [f"`{choice}`" for choice in flag.choices if f"`{choice}`" not in meaning]
        meaning += f": {', '.join(unnamed)}" if unnamed else ""
    placeholder = "" if flag.is_switch else f" {flag.metavar or name.upper()}"
    if flag.is_switch:
        default = "off"
    elif flag.required:
        default = "required"
    else:
        default = flag.default_help or f"`{flag.default}`"
    return f"| `--{name}{placeholder}` | {default} | {meaning} |"


if __name__ == "__main__":
    PAGE.write_text(flags_page(), encoding="utf-8")
