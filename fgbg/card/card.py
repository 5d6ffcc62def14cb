"""The dataset card: a README.md with pictures that describes the dataset and how it was built.

All of its content comes from the files of the dataset (statistics.json, manifest.json, shards, companions), so the card
can be rewritten at any time.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fgbg.card.pictures import depth_in_metres, examples_sheet, histograms_plot, pictures_sheet, placements_plot
from fgbg.companions import OVERSAMPLING, read_companion
from fgbg.features import Labels
from fgbg.formatting import format_bytes
from fgbg.records import example_form
from fgbg.settings import LOSSLESS
from fgbg.shard_files import DatasetFiles
from fgbg.stored_pictures import PictureForm
from fgbg.stored_shards import read_fields

_EXAMPLES_SHOWN = 6
# Number of records of the first shard from which varied examples are chosen.
_CANDIDATES = 60
# Maximum number of pictures on a sheet, and of classes in a table.
_MAX_PICTURES = 100
_MAX_CLASSES = 40

_EXAMPLES = "images/examples.png"
_HISTOGRAMS = "images/histograms.png"
_PLACEMENTS = "images/placements.png"
_BACKGROUNDS = "images/backgrounds.png"
_FOREGROUNDS = "images/foregrounds.png"
_FOREGROUND_MASKS = "images/foreground_masks.png"
CARD_FILES = ("README.md", _EXAMPLES, _HISTOGRAMS, _PLACEMENTS, _BACKGROUNDS, _FOREGROUNDS, _FOREGROUND_MASKS)

# Size categories of the Hugging Face Hub, by their upper limit on the number of examples.
_SIZE_CATEGORIES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
    100_000_000: "10M<n<100M",
    1_000_000_000: "100M<n<1B",
}


def write_card(
    files: DatasetFiles, companions: Mapping[str, DatasetFiles], statistics: dict[str, Any], manifest: dict[str, Any]
) -> None:
    """Write README.md and its pictures into the folder of the dataset.

    Args:
        files: the dataset; its shards must be finished.
        companions: its "background" and "foreground" datasets.
        statistics: the content of `statistics.json`.
        manifest: the content of `manifest.json`.

    Raises:
        InputError: a stored picture is not what it should be.
        RunError: a shard cannot be read, or a file cannot be written.
    """
    labels = {kind: _labels(manifest, kind) for kind in ("background", "foreground")}
    backgrounds, foregrounds = (_pictures_shown(len(labels[kind].names)) for kind in ("background", "foreground"))
    side, largest = manifest["configuration"]["image_size"], OVERSAMPLING * manifest["configuration"]["placed_sides"][1]
    files.write(_EXAMPLES, _examples_sheet(files, companions["background"], labels, statistics, manifest))
    files.write(_HISTOGRAMS, histograms_plot(statistics["kinds"]))
    files.write(_PLACEMENTS, placements_plot(statistics["placements"], statistics["examples"]))
    bg = read_companion(companions["background"], "background", labels["background"], backgrounds)
    files.write(
        _BACKGROUNDS,
        pictures_sheet(
            [PictureForm("PNG", np.uint8, (side, side, 3)).decode(bg[i]["image"]) for i in backgrounds],
            [labels["background"].names[i] for i in backgrounds],
        ),
    )
    fg = read_companion(companions["foreground"], "foreground", labels["foreground"], foregrounds)
    names = [labels["foreground"].names[i] for i in foregrounds]
    cutouts = [
        PictureForm("PNG", np.uint8, (0, 0, 4), longest_side=largest).decode(fg[i]["image"]) for i in foregrounds
    ]
    files.write(_FOREGROUNDS, pictures_sheet(cutouts, names))
    masks = [
        PictureForm("PNG", np.uint8, cutout.shape[:2]).decode(fg[i]["mask"])
        for i, cutout in zip(foregrounds, cutouts, strict=True)
    ]
    files.write(_FOREGROUND_MASKS, pictures_sheet(masks, names))
    files.write("README.md", render_card(statistics, manifest, files).encode())


def rehearse_card(statistics: dict[str, Any], manifest: dict[str, Any], files: DatasetFiles) -> None:
    """Make what stands on the card of names and text, in memory: what cannot be written fails here.

    Args:
        statistics: as for `write_card`, of any values.
        manifest: as for `write_card`.
        files: the dataset, which need not exist.
    """
    render_card(statistics, manifest, files).encode()
    for kind in ("backgrounds", "foregrounds"):
        labels = [one["label"] for one in manifest["inputs"][kind]]
        names = [labels[i] for i in _pictures_shown(len(labels))]
        pictures_sheet([np.zeros((1, 1, 3), np.uint8)] * len(names), names)


def render_card(statistics: dict[str, Any], manifest: dict[str, Any], files: DatasetFiles) -> str:
    """Return the text of the card: Markdown with a YAML header for the Hugging Face Hub."""
    with_depth = manifest["depth_model"] is not None
    loaded = json.dumps(files.full_name)
    sections = [
        _header(statistics, files, with_depth=with_depth),
        f"# {files.name} {files.version}",
        "Synthetic composites of every foreground over every background, with exact binary masks"
        + (" and depth maps." if with_depth else ". This dataset has no depth maps."),
        _image("Examples: background, composite, mask" + (", depth" if with_depth else ""), _EXAMPLES),
        "## Contents",
        _kinds_table(statistics, manifest),
        _splits_table(statistics),
        "## Loading",
        "```python\nimport tensorflow_datasets as tfds\n\n"
        f'examples = tfds.load({loaded}, split="train", data_dir=...)  # the folder that contains {files.name}/\n```',
        "## Mean and standard deviation",
        "Mean and population standard deviation over all pixels of all images, computed before JPEG encoding. In the"
        " columns `0..1`, a value of 1 corresponds to 255"
        + (" in images and masks, and to 10 m in depth maps" if with_depth else "")
        + ". The standard deviation of a mask with mean m is sqrt(m (1 - m)).",
        _moments_table(statistics["kinds"]),
    ]
    if len(statistics["splits"]) > 1:
        sections += [
            text
            for name, split in statistics["splits"].items()
            for text in (f"Split `{name}`:", _moments_table(split["kinds"]))
        ]
    sections += [
        _image("Histograms of colours" + (" and depth" if with_depth else ""), _HISTOGRAMS),
        "## Classes",
        _classes_table("background", "bg_class", statistics, manifest),
        _classes_table("foreground", "fg_class", statistics, manifest),
        f"{statistics['placements']['flipped']:,} of {statistics['examples']:,} examples have a mirrored foreground.",
        "## Position and size of foregrounds",
        f"On average, the foreground covers {statistics['kinds']['mask']['mean'][0]:.1%} of an image.",
        _image("Position and size of foregrounds", _PLACEMENTS),
        *_pictures("Backgrounds", "bg", _BACKGROUNDS, statistics, "as used in the composites"),
        *_pictures("Foregrounds", "fg", _FOREGROUNDS, statistics, "before placement"),
        *_pictures("Foreground masks", "fg_mask", _FOREGROUND_MASKS, statistics, "before placement"),
        "## How it was built",
        _build_steps(manifest),
        "## Licence",
        "The licences of the input pictures determine how this dataset may be used and redistributed. fgbg does not"
        " know them, so check the licence of every background and foreground."
        + (" The licence of the depth model's weights may also apply to the depth maps." if with_depth else ""),
        "## Skipped inputs",
        _skipped(manifest),
        "## Configuration",
        f"Fingerprint `{manifest['fingerprint'][:16]}`. `manifest.json` contains the SHA-256 of every input and"
        " every shard.",
        "```json\n" + json.dumps(manifest["configuration"], indent=2, ensure_ascii=False) + "\n```",
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _examples_sheet(
    files: DatasetFiles,
    backgrounds: DatasetFiles,
    labels: Mapping[str, Labels],
    statistics: dict[str, Any],
    manifest: dict[str, Any],
) -> bytes:
    """Return the sheet of examples, a PNG, chosen from the first shard."""
    configuration = manifest["configuration"]
    bits = configuration["depth_bits"]
    form = example_form(
        labels["background"], labels["foreground"], configuration["placements"], with_depth=bits is not None
    )
    split = next(iter(statistics["splits"]))
    shard = manifest["shards"][files.name][split][0]
    rows = _choose_varied(read_fields(files, shard["file"], form, min(shard["examples"], _CANDIDATES)))
    below = read_companion(backgrounds, "background", labels["background"], {row["bg"] for row in rows})
    side = configuration["image_size"]
    composite = "PNG" if configuration["jpeg_quality"] == LOSSLESS else "JPEG"
    images = [
        {
            "bg": PictureForm("PNG", np.uint8, (side, side, 3)).decode(below[row["bg"]]["image"]),
            "fg_bg": PictureForm(composite, np.uint8, (side, side, 3)).decode(row["fg_bg"]),
            "mask": PictureForm("PNG", np.uint8, (side, side)).decode(row["mask"]),
        }
        for row in rows
    ]
    stored = np.uint8 if bits == 8 else np.uint16
    metres = [
        depth_in_metres(PictureForm("PNG", stored, (side, side)).decode(row["depth"])) for row in rows if "depth" in row
    ]
    return examples_sheet(images, metres)


def _choose_varied(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose examples with different foregrounds and backgrounds as far as possible, in storage order."""
    candidates = list(rows)
    chosen: list[dict[str, Any]] = []
    while candidates and len(chosen) < _EXAMPLES_SHOWN:
        foregrounds, backgrounds = ({row[name] for row in chosen} for name in ("fg", "bg"))
        ranks = [(row["fg"] in foregrounds) + (row["bg"] in backgrounds) for row in candidates]
        chosen.append(candidates.pop(ranks.index(min(ranks))))
    return chosen


def _pictures_shown(pictures: int) -> list[int]:
    """Return the indices of the pictures on a sheet: all of them, or `_MAX_PICTURES` at even intervals."""
    return np.unique(np.linspace(0, pictures - 1, min(pictures, _MAX_PICTURES)).astype(int)).tolist()


def _header(statistics: dict[str, Any], files: DatasetFiles, *, with_depth: bool) -> str:
    examples = statistics["examples"]
    size = next((name for limit, name in _SIZE_CATEGORIES.items() if examples < limit), "n>1B")
    tasks = ["image-segmentation", *(["depth-estimation"] if with_depth else [])]
    lines = [
        "---",
        f"pretty_name: {json.dumps(files.full_name)}",
        "license: other",
        "task_categories:",
        *(f"- {task}" for task in tasks),
        "tags:",
        *(f"- {tag}" for tag in ("background-subtraction", "foreground-segmentation", "synthetic", "tfds")),
        "size_categories:",
        f"- {size}",
        "---",
    ]
    return "\n".join(lines)


def _image(text: str, path: str) -> str:
    return f"![{text}]({path})"


def _pictures(title: str, kind: str, path: str, statistics: dict[str, Any], state: str) -> list[str]:
    number = statistics["kinds"][kind]["images"]
    shown = f"{_MAX_PICTURES} of {number:,}" if number > _MAX_PICTURES else f"All {number}"
    return [f"## {title}", f"{shown}, {state}.", _image(title, path)]


def _kinds_table(statistics: dict[str, Any], manifest: dict[str, Any]) -> str:
    meaning = {
        "bg": "backgrounds",
        "fg": "foreground cut-outs",
        "fg_mask": "masks of the cut-outs before placement",
        "fg_bg": "composites, " + ("PNG" if manifest["configuration"]["jpeg_quality"] == "png" else "JPEG"),
        "mask": "masks of the composites: 255 inside the foreground, 0 outside",
        "depth": manifest["depth_meaning"],
    }
    kinds = statistics["kinds"]
    rows = [
        (name, f"{kind['images']:,}", format_bytes(kind["encoded_bytes"]), str(meaning[name]))
        for name, kind in kinds.items()
    ]
    images, size = (sum(kind[key] for kind in kinds.values()) for key in ("images", "encoded_bytes"))
    rows.append(("**total**", f"**{images:,}**", f"**{format_bytes(size)}**", ""))
    return _table(("kind", "images", "size", "meaning"), rows)


def _splits_table(statistics: dict[str, Any]) -> str:
    return _table(
        ("split", "examples", "size of shards"),
        [(name, f"{s['examples']:,}", format_bytes(s["bytes"])) for name, s in statistics["splits"].items()],
    )


def _moments_table(kinds: dict[str, Any]) -> str:
    def numbers(values: Sequence[float], digits: int) -> str:
        return " / ".join(f"{value:.{digits}f}" for value in values)

    rows = [
        (
            name,
            numbers(kind["mean"], 4),
            numbers(kind["std"], 4),
            numbers(kind["mean_255"], 2),
            numbers(kind["std_255"], 2),
        )
        for name, kind in kinds.items()
        if "mean" in kind
    ]
    table = _table(("kind", "mean, 0..1", "std, 0..1", "mean, 0..255", "std, 0..255"), rows)
    depth = kinds.get("depth")
    if depth is None:
        return table
    return (
        f"{table}\n\nDepth: {depth['mean_metres']:.3f} ± {depth['std_metres']:.3f} m,"
        f" from {depth['minimum_metres']:.3f} to {depth['maximum_metres']:.3f} m."
    )


def _classes_table(side: str, field: str, statistics: dict[str, Any], manifest: dict[str, Any]) -> str:
    """Return a table of the number of pictures and examples of each class, the most frequent class first."""
    counts = statistics["placements"][field]
    classes = [one["class"] for one in manifest["inputs"][f"{side}s"]]
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    rows = [(_text(name), f"{classes.count(name):,}", f"{counts[name]:,}") for name in ordered[:_MAX_CLASSES]]
    if left := len(ordered) - len(rows):
        rows.append((f"{left} more", "", ""))
    return _table((f"{side} class", "pictures", "examples"), rows)


def _build_steps(manifest: dict[str, Any]) -> str:
    configuration = manifest["configuration"]
    shortest, longest = configuration["placed_sides"]
    size = configuration["image_size"]
    lossless = configuration["jpeg_quality"] == "png"
    lines = [
        f"- **bg**: the centre square of each background, resized to {size}x{size} by area averaging.",
        "- **fg**: each foreground, cropped to the box where alpha > 0. Resizing weights colours by alpha, so edges"
        " have no fringe.",
        "- **fg_mask**: 255 where the alpha of the cut-out before placement is at least 128, else 0.",
        "- **fg_bg**: every background x every foreground x {plain, flipped}"
        f" x {configuration['placements']} random placements. The longest side of the cut-out is uniform over"
        f" {shortest} .. {longest} pixels. Its position is uniform over all positions inside the image. Both are"
        f" drawn from the seed ({configuration['seed']}) and the example id. Alpha blending computes"
        " (b (255 - a) + f a) / 255, correctly rounded. Stored as "
        + ("PNG." if lossless else f"JPEG of quality {configuration['jpeg_quality']}."),
        "- **mask**: 255 where the alpha of the placed cut-out is at least 128, else 0. Stored as PNG, so it is exactly"
        " binary.",
    ]
    if depth := manifest["depth_model"]:
        lines.append(
            f"- **depth**: predicted for each composite by {_code(depth['weights'])} (sha256 {depth['sha256'][:12]}…,"
            f" {depth['engine']}, {depth['precision']}, input {depth['input_size'][0]}x{depth['input_size'][1]}),"
            f" {depth['kind']}. {manifest['depth_meaning']} The same formula applies to every image:"
            " metres = clip(10 / y, 0.1, 10) for the network output y."
            f" Stored as {configuration['depth_bits']}-bit PNG."
        )
    if configuration["test_fraction"]:
        lines.append(
            f"- **splits**: {configuration['test_fraction']:.0%} held out by {configuration['split_by']}, so the splits"
            f" share no {configuration['split_by']}." + _held_out(manifest)
        )
    return "\n".join(lines)


def _held_out(manifest: dict[str, Any]) -> str:
    names = manifest["held_out"]
    if not names:
        return ""
    more = f" and {len(names) - _MAX_CLASSES} more (see `manifest.json`)" if len(names) > _MAX_CLASSES else ""
    return " Only in `test`: " + ", ".join(map(_code, names[:_MAX_CLASSES])) + more + "."


def _skipped(manifest: dict[str, Any]) -> str:
    if not manifest["skipped"]:
        return "None."
    return "\n".join(f"- {_code(one['path'])} {_text(one['reason'])}" for one in manifest["skipped"])


def _text(text: str) -> str:
    """Text that is neither Markdown nor HTML, whatever it says.

    >>> _text("<b>*")
    '\\\\<b\\\\>\\\\*'
    """
    return re.sub(r"[\\`*_\[\]<>#!~&$]", r"\\\g<0>", text)


def _code(text: str) -> str:
    """Text as code, whatever backticks are in it.

    >>> _code("a"), _code("`a")
    ('`a`', '`` `a ``')
    """
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence}{text}{fence}" if fence == "`" else f"{fence} {text} {fence}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _labels(manifest: dict[str, Any], kind: str) -> Labels:
    pictures = manifest["inputs"][f"{kind}s"]
    return Labels(tuple(one["label"] for one in pictures), tuple(one["class"] for one in pictures))
