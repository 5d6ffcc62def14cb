"""Finding and checking the inputs: what counts, what is passed over, and every reason for a refusal."""

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fgbg.errors import InputError
from pipeline.build.build_plan import BuildPlan, make_plan
from pipeline.parser import parse
from tests.pictures_helpers import Pixels, bomb, cutout, encoded, photo, write
from transforms.inputs import check_backgrounds, check_foregrounds, find_overlap, find_pictures


def find(folder_or_glob: Path | str) -> list[tuple[str, str]]:
    """(label, class) of what is found where nothing is refused."""
    found, bad = find_pictures(str(folder_or_glob), "--backgrounds")
    assert bad == []
    return [(one.label, one.class_name) for one in found]


def refused(folder: Path) -> dict[str, str]:
    """File name -> reason of what is refused by its name."""
    _, bad = find_pictures(str(folder), "--backgrounds")
    return {Path(one.path).name: one.reason for one in bad}


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        write(folder / name, b"")
    return folder


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    fill(tmp_path, "b.png", "river/bank/c.jpg", "river/a.webp")
    assert find(tmp_path) == [("b", "unclassified"), ("river/a", "river"), ("river/bank/c", "river/bank")]


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.PNG", "a.webp", "a.bmp", "a.tif", "a.TIFF"])
def test_suffixes(tmp_path: Path, name: str) -> None:
    assert find(fill(tmp_path, name)) == [("a", "unclassified")]


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "Thumbs.db", "THUMBS.DB", "desktop.ini", ".hidden.png", "._a.png", ".git/b.png",
        "dog/.cache/b.png", "lost+found/b.png", "__MACOSX/b.png", "__MACOSX/dog/._b.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_XL.jpg", "dog/@eaDir/b.png", "#recycle/b.png", "@Recycle/b.png",
        "@__thumb/b.png", "@Recently-Snapshot/b.png", "$RECYCLE.BIN/S-1-5/b.png", "System Volume Information/b.png",
        "Network Trash Folder/b.png", ".AppleDouble/b.png", ".picasaoriginals/b.png", "Picasa.ini", "Icon\r",
        "Catalog Previews.lrdata/A/b.jpg", "ehthumbs.db",
    ],
)  # fmt: skip
def test_litter_is_passed_over(tmp_path: Path, name: str) -> None:
    assert find(fill(tmp_path, "a.png", name)) == [("a", "unclassified")]


@pytest.mark.parametrize("folder", ["Photos Library.photoslibrary", "RECYCLER", "recycled", "Temporary Items"])
def test_folders_that_a_person_may_have_made_do_not_vanish(tmp_path: Path, folder: str) -> None:
    reason = f"is in {folder}, which another program may have made; rename that folder if its pictures are yours"
    assert refused(fill(tmp_path, "a.png", f"dog/{folder}/b.png")) == {"b.png": reason}


@pytest.mark.parametrize(
    "name", ["@someone/b.png", "#trees/b.png", "thumbnails/b.png", "previews/b.png", "trash/b.png"]
)
def test_folders_of_people_are_inputs(tmp_path: Path, name: str) -> None:
    assert [label for label, _ in find(fill(tmp_path, "a.png", name))] == sorted(("a", name[:-4]))


def test_a_hidden_folder_may_hold_the_inputs(tmp_path: Path) -> None:
    assert find(fill(tmp_path / ".cache", "a.png")) == [("a", "unclassified")]


@pytest.mark.parametrize("name", ["[new]", "a*b", "really?", "[", "a]b", "with space", "ünï"])
def test_folders_of_any_name(tmp_path: Path, name: str) -> None:
    fill(tmp_path, f"{name}/{name}/a.png", "n/b.png")
    assert find(tmp_path / name) == [(f"{name}/a", name)]


@pytest.mark.parametrize(
    ("pattern", "labels"),
    [
        ("*.png", ["a", "b"]),
        ("[a]*", ["a"]),
        ("*/*.jpg", ["cat/d", "dog/c"]),
        ("dog/*", ["c"]),
        ("d?g/*.jpg", ["dog/c"]),
        ("**", ["a", "b", "cat/d", "dog/c"]),
    ],
)
def test_globs(tmp_path: Path, pattern: str, labels: list[str]) -> None:
    # Labels are relative to the part before the first wildcard.
    fill(tmp_path, "a.png", "b.png", "dog/c.jpg", "cat/d.jpg")
    assert [label for label, _ in find(tmp_path / pattern)] == labels


@pytest.mark.parametrize(("pattern", "labels"), [("photos", ["river/a"]), ("*/*/*.png", ["photos/river/a"])])
def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, labels: list[str]) -> None:
    fill(tmp_path, "photos/river/a.png")
    monkeypatch.chdir(tmp_path)
    assert [label for label, _ in find(pattern)] == labels


@pytest.mark.parametrize("spelling", ["{}/", "{}/../photos", "{}/./"])
def test_spellings_of_a_folder_do_not_change_labels(tmp_path: Path, spelling: str) -> None:
    folder = fill(tmp_path / "photos", "river/a.png")
    assert find(spelling.format(folder)) == [("river/a", "river")]


def test_order_is_that_of_the_labels(tmp_path: Path) -> None:
    # By path, "a-b.png" would come before "a.png".
    assert [label for label, _ in find(fill(tmp_path, "b.png", "a.png", "a-b.png", "B.png"))] == ["B", "a", "a-b", "b"]


def test_links_are_followed(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "a.png", "more/b.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/c.png").symlink_to(tmp_path / "elsewhere/a.png")
    (tmp_path / "photos/dog").symlink_to(tmp_path / "elsewhere")
    assert [label for label, _ in find(tmp_path / "photos")] == ["c", "dog/a", "dog/more/b"]
    assert [label for label, _ in find(tmp_path / "photos/*/*.png")] == ["dog/a"]


def test_a_link_upwards_is_no_endless_loop(tmp_path: Path) -> None:
    fill(tmp_path, "dog/a.png")
    (tmp_path / "dog/all").symlink_to(tmp_path)
    assert [label for label, _ in find(tmp_path)] == ["dog/a"]


def test_dangling_links_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere")
    (bad,) = check_backgrounds(str(tmp_path), image_size=16).bad
    assert bad.path == f"{tmp_path}/a.png"
    assert bad.reason.startswith("cannot be read (")
    assert "No such file" in bad.reason


def test_unreadable_folders_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Taking away permissions would not hinder root.
    fill(tmp_path, "a.png", "dog/b.png")
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if path.endswith("dog"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found, bad = find_pictures(str(tmp_path), "--backgrounds")
    assert [one.label for one in found] == ["a"]
    assert list(map(str, bad)) == [f"{tmp_path}/dog/ is a folder that cannot be read; fix its permissions or remove it"]


def test_names_lose_the_spaces_that_tfds_cuts_off(tmp_path: Path) -> None:
    assert find(fill(tmp_path, " a .png", "dog /b.png")) == [("a", "unclassified"), ("dog /b", "dog")]


@pytest.mark.parametrize("name", ["at 3.45\u202fPM.png", "👨\u200d👩.png"])
def test_names_as_systems_make_them(tmp_path: Path, name: str) -> None:
    assert find(fill(tmp_path, name)) == [(name[:-4], "unclassified")]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb.png", "a\\nb.png"),
        ("a\tb.png", "a\\tb.png"),
        ("a\x7f.png", "a\\x7f.png"),
        ("a\x85b.png", "a\\x85b.png"),
        ("a\u2028b.png", "a\\u2028b.png"),
    ],
)
def test_names_that_no_label_file_can_hold(tmp_path: Path, name: str, shown: str) -> None:
    _, (bad,) = find_pictures(str(fill(tmp_path, name)), "--backgrounds")
    assert str(bad) == f"{tmp_path}/{shown} has a control character in its name, here escaped; rename it"


@pytest.mark.parametrize("name", [b"Mu\xf1oz.png", b"\xff.png", b"Mu\xf1oz/a.png"])
def test_names_that_are_not_utf_8(tmp_path: Path, name: bytes) -> None:
    _, (bad,) = find_pictures(str(fill(tmp_path, os.fsdecode(name))), "--backgrounds")
    shown = name.decode("utf-8", "backslashreplace")
    assert str(bad) == f"{tmp_path}/{shown} has a name that is not UTF-8, here escaped; rename it"
    # The file itself can still be found.
    assert Path(bad.path).exists()


@pytest.mark.parametrize("name", [" .png", "\u3000.png", " /a.png", "\u00a0/a.png"])
def test_names_of_nothing_but_spaces(tmp_path: Path, name: str) -> None:
    reason = "has no name but spaces, or lies in a folder that has none; rename it"
    assert refused(fill(tmp_path, name)) == {Path(name).name: reason}


def test_names_that_differ_in_the_suffix_alone(tmp_path: Path) -> None:
    fill(tmp_path, "dog/a.jpg", "dog/a.png", "cat/a.png", "dog/A.jpg")
    assert refused(tmp_path) == {"a.png": f"has the same name as {tmp_path}/dog/a.jpg but for the suffix; rename one"}


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("a .png", "a.png"), "spaces at its ends, which are not stored"),
        (("a .jpg", "a.png"), "spaces at its ends, which are not stored"),
        ((" a.png", "a.png"), "spaces at its ends, which are not stored"),
        (("a .jpg", "a .png"), "the suffix"),
    ],
)
def test_names_that_differ_in_spaces_alone(tmp_path: Path, names: tuple[str, str], why: str) -> None:
    first, second = sorted(names)
    assert refused(fill(tmp_path, *names)) == {
        second: f"has the same name as {tmp_path}/{first} but for {why}; rename one"
    }


@pytest.mark.parametrize("name", ["notes.txt", "a.gif", "a.heic", "noname", "a.png.part"])
def test_other_files(tmp_path: Path, name: str) -> None:
    assert refused(fill(tmp_path, name, "a.png")) == {
        name: "is no picture by its name (known suffixes: .jpg .jpeg .png .webp .bmp .tif .tiff)"
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "--backgrounds: the folder {} holds no pictures; put some in or name another."),
        ("litter", "--backgrounds: the folder {} holds no pictures; put some in or name another."),
        ("nowhere", "--backgrounds: there is no folder {}; check the path."),
        ("*.jpg", "--backgrounds: no file matches {}; check the pattern."),
        ("one/a.png", "--backgrounds: {} is one picture; name its folder, or a pattern that matches it."),
    ],
)
def test_nothing_there(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "litter", ".DS_Store")
    fill(tmp_path / "one", "a.png")
    with pytest.raises(InputError) as caught:
        find(tmp_path / name)
    assert str(caught.value) == message.format(tmp_path / name)


def test_what_is_known_of_a_usable_picture(tmp_path: Path) -> None:
    path = write(tmp_path / "dog/rex.png", cutout(12, 8))
    (one,) = check_foregrounds(str(tmp_path), sides=range(3, 6)).usable
    assert (one.path, one.label, one.class_name) == (str(path), "dog/rex", "dog")
    assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    # Without the transparent pixel all around.
    assert (one.width, one.height) == (10, 6)


def test_checking_tells_its_progress(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / f"{i}.png", photo(seed=i) if i else b"")
    ticks: list[None] = []
    check_backgrounds(str(tmp_path), image_size=16, on_checked=lambda: ticks.append(None))
    assert len(ticks) == 5


def test_a_hair_is_refused_only_where_it_would_vanish(tmp_path: Path) -> None:
    # One opaque column among 400: at 200 pixels its alpha is 128, at 199 less.
    hair = np.zeros((10, 400, 4), np.uint8)
    hair[:, 200, 3] = 255
    hair[:, (0, 399), 3] = 1
    write(tmp_path / "hair.png", hair)
    assert check_foregrounds(str(tmp_path), sides=[200]).bad == ()
    (bad,) = check_foregrounds(str(tmp_path), sides=[200, 150]).bad
    assert str(bad) == (
        f"{tmp_path}/hair.png is so thin that no pixel is half opaque when its longest side is 150 pixels;"
        " its mask would be empty; use a larger --fg_scale or --image_size"
    )


# All problems of a real command line.

NO_PICTURE = "is no JPEG, PNG, WebP, BMP or TIFF picture, or is damaged"
BIG = photo(40, 30)
OPAQUE = np.dstack([BIG, np.full((30, 40), 255)]).astype(np.uint8)

# File name -> content, and why it is refused.
Bad = dict[str, tuple[bytes | Pixels, str]]

BAD_BACKGROUNDS: Bad = {
    "bomb.png": (bomb(), "has more than 178,956,970 pixels and is refused as a decompression bomb; scale it down"),
    "cut.jpg": (encoded(BIG, "JPEG")[:-500], "is truncated"),
    "cut-png.png": (encoded(BIG)[:-500], "is truncated"),
    "cut-too.webp": (encoded(BIG, "WEBP")[:-50], "is truncated"),
    "cut-also.tif": (encoded(BIG, "TIFF")[:-500], "is truncated"),
    "nothing.jpg": (b"", "is an empty file"),
    "notes.txt": (b"hello", "is no picture by its name (known suffixes: .jpg .jpeg .png .webp .bmp .tif .tiff)"),
    "river/text.jpg": (b"hello", NO_PICTURE),
}
BAD_FOREGROUNDS: Bad = {
    "faint.png": (
        OPAQUE // np.array([1, 1, 1, 3], np.uint8),
        "is nowhere more than half opaque (largest alpha 85 of 255); its mask would be empty",
    ),
    "opaque.png": (OPAQUE, "is fully opaque; cut it out first: fgbg cutout"),
    "photo.jpg": (
        encoded(BIG, "JPEG"),
        "has no alpha channel; cut it out first: fgbg cutout",
    ),
    "clear.png": (OPAQUE * np.array([1, 1, 1, 0], np.uint8), "is fully transparent; nothing would be pasted"),
    "web.png": (b"<html>", NO_PICTURE),
}


def plan(tmp_path: Path, *flags: str) -> BuildPlan:
    folders = [f"--backgrounds={tmp_path}/bg", f"--foregrounds={tmp_path}/fg", f"--data_dir={tmp_path}/out"]
    _, options, _ = parse(["plan", *folders, "--image_size=16", "--depth_model=none", *flags])
    return make_plan(options)


def write_all(tmp_path: Path, *, good: bool) -> set[str]:
    """Write all bad pictures, and good ones if asked; give the lines that tell of the bad ones."""
    lines = set()
    for folder, bad in (("bg", BAD_BACKGROUNDS), ("fg", BAD_FOREGROUNDS)):
        for name, (content, reason) in bad.items():
            lines.add(f"  {write(tmp_path / folder / name, content)} {reason}")
    write(tmp_path / "bg/twice.jpg", photo())
    twice = write(tmp_path / "bg/twice.png", photo())
    lines.add(f"  {twice} has the same name as {tmp_path}/bg/twice.jpg but for the suffix; rename one")
    if good:
        write(tmp_path / "fg/good.png", cutout())
    else:
        (tmp_path / "bg/twice.jpg").unlink()
        twice.unlink()
    return lines


def test_all_problems_are_reported_in_one_go(tmp_path: Path) -> None:
    lines = write_all(tmp_path, good=True)
    with pytest.raises(InputError) as caught:
        plan(tmp_path)
    first, *others = str(caught.value).splitlines()
    assert first == (
        "14 of 16 input pictures cannot be used; fix or remove them, or add --skip_bad_inputs to go on without them:"
    )
    assert set(others) == lines
    assert len(others) == len(lines)


def test_bad_inputs_can_be_skipped(tmp_path: Path) -> None:
    lines = write_all(tmp_path, good=True)
    made = plan(tmp_path, "--skip_bad_inputs")
    assert {f"  {bad}" for bad in made.skipped} == lines
    assert [one.label for one in made.backgrounds + made.foregrounds] == ["twice", "good"]
    assert made.metadata.skipped == tuple((bad.path, bad.reason) for bad in made.skipped)


def test_something_must_be_left(tmp_path: Path) -> None:
    write_all(tmp_path, good=False)
    with pytest.raises(InputError, match=f"^--backgrounds: not one picture of {tmp_path}/bg can be used:\n  "):
        plan(tmp_path, "--skip_bad_inputs")


def test_checking_writes_nothing(tmp_path: Path) -> None:
    write_all(tmp_path, good=True)
    plan(tmp_path, "--skip_bad_inputs")
    assert not (tmp_path / "out").exists()


def test_a_new_picture_changes_the_fingerprint(tmp_path: Path) -> None:
    write(tmp_path / "bg/a.png", photo())
    write(tmp_path / "fg/a.png", cutout())
    before = plan(tmp_path).configuration["fingerprint"]
    assert plan(tmp_path).configuration["fingerprint"] == before
    write(tmp_path / "bg/a.png", photo(seed=1))
    assert plan(tmp_path).configuration["fingerprint"] != before


# Where the dataset must not lie.


@pytest.mark.parametrize(
    ("backgrounds", "data_dir", "place"),
    [
        ("photos", "photos", "photos/fg_bg_depth/1.0.0/statistics.json"),
        ("photos", "photos/data", "photos/data/fg_bg_depth/1.0.0/statistics.json"),
        ("photos", "photos/not/there/yet", "photos/not/there/yet/fg_bg_depth/1.0.0/statistics.json"),
        ("photos", "elsewhere/../photos", "photos/fg_bg_depth/1.0.0/statistics.json"),
        ("photos/**", "photos", "photos/fg_bg_depth/1.0.0/statistics.json"),
        ("photos/**/*.png", "photos", "photos/fg_bg_depth/1.0.0/images/examples.png"),
        ("photos/*/*/*", "photos", "photos/fg_bg_depth/1.0.0/statistics.json"),
        ("photos", "linked", "photos/fg_bg_depth/1.0.0/statistics.json"),
        ("linked/*/*/*.json", "photos", "linked/fg_bg_depth/1.0.0/statistics.json"),
        ("links", "target", "links/deeper/fg_bg_depth/1.0.0/statistics.json"),
        ("links", "target/more", "links/deeper/more/fg_bg_depth/1.0.0/statistics.json"),
        ("target/fg_bg_depth/1.0.0", "target", "target/fg_bg_depth/1.0.0"),
        ("target/fg_bg_depth/1.0.0/photos", "target", "target/fg_bg_depth/1.0.0/photos"),
        ("target/fg_bg_depth_foreground/1.0.0/*.png", "target", "target/fg_bg_depth_foreground/1.0.0"),
        ("inward", "target", "inward/shown"),
    ],
)
def test_a_dataset_among_its_inputs_is_refused(tmp_path: Path, backgrounds: str, data_dir: str, place: str) -> None:
    write(tmp_path / "photos/a.png", photo())
    write(tmp_path / "fg/a.png", cutout())
    for link, target in (
        ("linked", "photos"),
        ("links/deeper", "target"),
        ("inward/shown", "target/fg_bg_depth/1.0.0"),
    ):
        (tmp_path / target).mkdir(parents=True, exist_ok=True)
        (tmp_path / link).parent.mkdir(exist_ok=True)
        (tmp_path / link).symlink_to(tmp_path / target)
    with pytest.raises(InputError) as caught:
        plan(tmp_path, f"--backgrounds={tmp_path}/{backgrounds}", f"--data_dir={tmp_path}/{data_dir}")
    told = str(caught.value)
    assert told.startswith("--data_dir: the dataset's folder ")
    assert f"/1.0.0 and --backgrounds {tmp_path}/{backgrounds} lie in each other (at {tmp_path}/{place})" in told


@pytest.mark.parametrize(
    ("backgrounds", "data_dir"),
    [
        ("data/photos", "data"),  # beside the dataset
        ("data/*/*.png", "data"),  # does not look so deep
        ("data/**/*.jpg", "data"),  # nothing that is written has this suffix
        ("photos", "photos/.data"),  # hidden
        ("data/fg_bg_depth/2.0.0", "data"),  # no folder of this version
    ],
)
def test_a_dataset_beside_its_inputs_is_fine(tmp_path: Path, backgrounds: str, data_dir: str) -> None:
    for folder in ("photos", "data/photos", "data/fg_bg_depth/2.0.0"):
        write(tmp_path / folder / "a.png", photo())
        write(tmp_path / folder / "b.jpg", photo(seed=1))
    write(tmp_path / "fg/a.png", cutout())
    flags = (f"--backgrounds={tmp_path}/{backgrounds}", f"--data_dir={tmp_path}/{data_dir}", "--skip_bad_inputs")
    assert plan(tmp_path, *flags).backgrounds


def test_weights_in_the_folder_that_overwriting_deletes(tmp_path: Path) -> None:
    write(tmp_path / "bg/a.png", photo())
    write(tmp_path / "fg/a.png", cutout())
    weights = write(tmp_path / "out/fg_bg_depth/1.0.0/mine.h5", b"")
    with pytest.raises(InputError, match=f"and --depth_model {weights} lie in each other"):
        plan(tmp_path, f"--depth_model={weights}")


@pytest.mark.parametrize(
    ("given", "folder", "place"),
    [
        ("gs://a/photos", "gs://a/photos/data", "gs://a/photos/data/x.png"),
        ("gs://a/photos/*", "gs://a/photos/data", None),
        ("gs://a/photos", "gs://a/photos2", None),
        ("gs://a/data/photos", "gs://a/data", "gs://a/data/photos"),
        ("/photos", "gs://a/photos", None),
    ],
)
def test_overlaps_in_object_stores(monkeypatch: pytest.MonkeyPatch, given: str, folder: str, place: str | None) -> None:
    monkeypatch.setattr("fgbg.filesystems.exists", lambda _: False)
    assert find_overlap(given, folder, ["x.png"]) == place
