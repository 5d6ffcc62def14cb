"""Cutting out on synthetic pictures: alpha, colours along soft edges, review flags, models and records."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fgbg.errors import InputError, RunError
from fgbg.images import Pixels
from pipeline.cutout import cut_out as stage
from pipeline.cutout import matting, models
from pipeline.cutout.cut_out import cut_out, load_photo
from pipeline.cutout.files import CutoutFiles, Record
from pipeline.cutout.matting import Alpha, assemble, clean_alpha, estimate_colours, refine_alpha
from pipeline.cutout.options import NETWORKS
from pipeline.cutout.review import NOTHING_FOUND, review_flags
from tests.pictures_helpers import cutout, encoded, photo, without_home
from transforms.pictures import PictureError

RED, BLUE = np.array([200, 40, 30]), np.array([20, 60, 180])


def disc(width: int, height: int, radius: float, softness: float, centre: tuple[float, float] = (0.5, 0.5)) -> Alpha:
    """Return alpha 1 inside a disc, 0 outside, and a ramp of `softness` pixels between."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    distance = np.hypot(x - centre[0] * width, y - centre[1] * height)
    return np.clip((radius - distance) / softness + 0.5, 0, 1).astype(np.float32)


def mix_colours(alpha: Alpha, noise: float = 0) -> Pixels:
    """Return red over blue with this alpha, plus noise."""
    mix = alpha[..., np.newaxis] * RED + (1 - alpha[..., np.newaxis]) * BLUE
    return np.rint(mix + np.random.default_rng(0).normal(0, noise, mix.shape)).clip(0, 255).astype(np.uint8)


class FixedModel:
    """A model that returns a given alpha and agreement."""

    def __init__(self, alpha: Alpha, agreement: float = 1.0) -> None:
        self.alpha = alpha
        self.agreement = agreement
        self.shape: tuple[int, ...] = ()

    def estimate(self, picture: Pixels) -> models.Estimate:
        self.shape = picture.shape
        image = Image.fromarray(np.rint(self.alpha * 255).astype(np.uint8))
        alpha = np.asarray(image.resize(picture.shape[1::-1], Image.Resampling.BOX), np.float32) / np.float32(255)
        return models.Estimate(alpha, self.agreement)


# Alpha


def test_refined_alpha_follows_the_edges_of_the_picture() -> None:
    truth = disc(400, 360, 100, 2)
    estimate = disc(400, 360, 102, 12)
    refined = refine_alpha(mix_colours(truth, noise=2), estimate)
    assert refined.dtype == np.float32
    assert refined.min() == 0
    assert refined.max() == 1
    assert np.abs(refined - truth).mean() < np.abs(estimate - truth).mean() / 2


def test_low_alpha_becomes_0_and_high_alpha_becomes_1() -> None:
    estimate = np.where(disc(100, 100, 30, 1) > 0.5, np.float32(0.9), np.float32(0.1))
    refined = refine_alpha(mix_colours(disc(100, 100, 30, 1)), estimate)
    np.testing.assert_array_equal(refined[45:55, 45:55], 1)
    np.testing.assert_array_equal(refined[:10], 0)


def blocks(*boxes: tuple[int, int, int, int]) -> Alpha:
    """Return alpha [100, 100] that is 1 in these boxes (top, left, height, width)."""
    alpha = np.zeros((100, 100), np.float32)
    for top, left, height, width in boxes:
        alpha[top : top + height, left : left + width] = 1
    return alpha


BODY, SECOND, SMALL = (10, 10, 40, 40), (60, 60, 30, 30), (80, 10, 5, 5)


def test_small_components_are_removed() -> None:
    np.testing.assert_array_equal(clean_alpha(blocks(BODY, SECOND, SMALL)), blocks(BODY, SECOND))


def test_only_the_largest_component_is_kept() -> None:
    np.testing.assert_array_equal(clean_alpha(blocks(BODY, SECOND, SMALL), only_largest=True), blocks(BODY))
    # Of two components with the same area, exactly one is kept.
    np.testing.assert_array_equal(clean_alpha(blocks((10, 10, 9, 9), (60, 60, 9, 9)), only_largest=True).sum(), 81)


def test_soft_edge_is_removed_with_its_component() -> None:
    alpha = np.maximum(disc(100, 100, 25, 4, (0.3, 0.3)), disc(100, 100, 5, 4, (0.8, 0.8)))
    np.testing.assert_array_equal(clean_alpha(alpha), disc(100, 100, 25, 4, (0.3, 0.3)))


def test_half_transparent_areas_far_from_solid_pixels_are_removed() -> None:
    alpha = blocks(BODY)
    alpha[90:, 90:] = 0.4
    np.testing.assert_array_equal(clean_alpha(alpha), blocks(BODY))


@pytest.mark.parametrize(
    ("gap", "filled"),
    [
        pytest.param((25, 25, 3, 3), True, id="small"),
        pytest.param((20, 20, 20, 20), False, id="large, like that between an arm and the body"),
        pytest.param((10, 25, 3, 3), False, id="open to the outside"),
    ],
)
def test_small_holes_are_filled(gap: tuple[int, int, int, int], filled: bool) -> None:
    whole = blocks(BODY)
    with_gap = whole - blocks(gap)
    np.testing.assert_array_equal(clean_alpha(with_gap), whole if filled else with_gap)


def test_gap_at_the_border_of_the_picture_is_not_filled() -> None:
    alpha = blocks((0, 0, 50, 50)) - blocks((0, 20, 3, 3))
    np.testing.assert_array_equal(clean_alpha(alpha), alpha)


def test_alpha_without_solid_pixels_becomes_0() -> None:
    np.testing.assert_array_equal(clean_alpha(np.full((20, 30), 0.45, np.float32)), np.zeros((20, 30)))


# Colours


def on_white(rgba: Pixels) -> npt.NDArray[np.float64]:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


def quantize(alpha: Alpha) -> Pixels:
    return np.rint(alpha * 255).astype(np.uint8)


def test_soft_edges_have_no_halo_of_the_old_background() -> None:
    alpha = disc(90, 80, 25, 12)
    picture = mix_colours(alpha)
    rgba, box = assemble(Image.fromarray(picture), quantize(alpha), *estimate_colours(picture, quantize(alpha)))
    left, top, width, height = box
    inside = np.s_[top : top + height, left : left + width]
    soft = (alpha[inside] > 0.05) & (alpha[inside] < 0.95)
    perfect = np.dstack([np.broadcast_to(RED, (height, width, 3)), rgba[..., 3]]).astype(np.uint8)
    naive = np.dstack([picture[inside], rgba[..., 3]])
    error, naive_error = (np.abs(on_white(one) - on_white(perfect))[soft].mean() for one in (rgba, naive))
    assert naive_error > 15
    assert error < naive_error / 5


def test_opaque_pixels_equal_the_photograph_and_the_box_is_tight() -> None:
    alpha = disc(64, 48, 15, 3, (0.4, 0.6))
    picture = photo(64, 48)
    rgba, (left, top, width, height) = assemble(
        Image.fromarray(picture), quantize(alpha), *estimate_colours(picture, quantize(alpha))
    )
    inside = np.s_[top : top + height, left : left + width]
    np.testing.assert_array_equal(rgba[..., 3], quantize(alpha)[inside])
    opaque = rgba[..., 3] == 255
    np.testing.assert_array_equal(rgba[opaque][:, :3], picture[inside][opaque])
    assert not rgba[rgba[..., 3] == 0].any()
    assert (quantize(alpha) > 0).sum() == (rgba[..., 3] > 0).sum()
    for side in (rgba[0], rgba[-1], rgba[:, 0], rgba[:, -1]):
        assert side[:, 3].any()


def test_photograph_larger_than_its_alpha_keeps_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    small = disc(50, 40, 12, 3)
    picture = photo(203, 161)
    reduced = np.asarray(Image.fromarray(picture).resize((50, 40), Image.Resampling.BOX))
    colours = estimate_colours(reduced, quantize(small))
    rgba, (left, top, width, height) = assemble(Image.fromarray(picture), quantize(small), *colours)
    opaque = rgba[..., 3] == 255
    assert opaque.mean() > 0.4
    np.testing.assert_array_equal(rgba[opaque][:, :3], picture[top : top + height, left : left + width][opaque])
    centre = (left + width / 2) / 203, (top + height / 2) / 161
    assert centre == pytest.approx((0.5, 0.5), abs=0.02)

    monkeypatch.setattr(matting, "_ROWS", 7)
    in_strips, _ = assemble(Image.fromarray(picture), quantize(small), *colours)
    np.testing.assert_allclose(
        in_strips.astype(int), rgba.astype(int), atol=2
    )  # Pillow rounds the coordinates of the box


def test_colours_can_be_estimated_in_several_threads() -> None:
    alpha = quantize(disc(60, 50, 15, 5))
    pictures = [photo(60, 50, seed) for seed in range(8)]
    sequential = [estimate_colours(picture, alpha) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        concurrent = list(pool.map(estimate_colours, pictures, [alpha] * 8))
    np.testing.assert_array_equal(np.array(concurrent), np.array(sequential))


# Photographs


def test_alpha_is_estimated_at_a_bounded_size_and_colours_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "WORKING_SIDE", 64)
    model = FixedModel(disc(320, 240, 80, 2))
    result = cut_out(Image.fromarray(mix_colours(disc(320, 240, 80, 2), noise=3)), model)
    assert model.shape == (48, 64, 3)
    assert result.review_flags == ()
    assert result.rgba is not None
    assert result.rgba.shape[1] == pytest.approx(160, abs=12)
    assert result.box == pytest.approx((80, 40, 160, 160), abs=12)


def test_photograph_without_an_object_is_flagged() -> None:
    result = cut_out(Image.fromarray(photo(40, 30)), FixedModel(np.zeros((30, 40), np.float32)))
    assert result.rgba is None
    assert result.review_flags == (NOTHING_FOUND,)


def test_photograph_is_rotated_by_its_exif_orientation() -> None:
    """Orientation 6 is a rotation by 90 degrees."""
    image = Image.fromarray(photo(40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load_photo(encoded(image, "PNG", exif=exif)).size == (20, 40)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16", "1"])
def test_photographs_of_other_modes_become_rgb(mode: str) -> None:
    image = Image.fromarray(photo()).convert("L" if mode == "I;16" else "RGB")
    converted = Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    assert load_photo(encoded(converted, "TIFF")).mode == "RGB"


def test_opaque_alpha_is_ignored_and_a_cutout_is_rejected() -> None:
    opaque = np.dstack([photo(), np.full((10, 12), 255, np.uint8)])
    np.testing.assert_array_equal(np.asarray(load_photo(encoded(opaque))), photo())
    with pytest.raises(PictureError, match="already has transparent pixels; use it as a foreground"):
        load_photo(encoded(cutout()))


def test_single_pixel_is_rejected() -> None:
    with pytest.raises(PictureError, match="is a single pixel"):
        load_photo(encoded(photo(1, 1)))


# Review flags


def strips(number: int) -> Alpha:
    return blocks(*((10, 10 + 16 * i, 60, 10) for i in range(number)))


@pytest.mark.parametrize(
    ("alpha", "flags"),
    [
        pytest.param(blocks(BODY), "", id="fine"),
        pytest.param(blocks((40, 0, 60, 90)), "", id="a portrait: two borders"),
        pytest.param(strips(3), "", id="three pieces"),
        pytest.param(np.zeros((100, 100), np.float32), "nothing was found in it", id="empty"),
        pytest.param(blocks((50, 50, 9, 11)), "it fills only 1.0% of the picture", id="almost empty"),
        pytest.param(blocks((2, 2, 96, 96)), "it fills 92% of the picture", id="almost everything"),
        pytest.param(blocks((40, 0, 60, 100)), "it touches 3 borders of the picture", id="borders"),
        pytest.param(strips(4), "it is in 4 pieces", id="pieces"),
        pytest.param(disc(200, 200, 60, 2), "", id="sharp edge"),
        pytest.param(
            disc(200, 200, 60, 10),
            "its edge is blurred: its width is 3.9% of the picture's longest side",
            id="blurred edge",
        ),
    ],
)
def test_review_flags(alpha: Alpha, flags: str) -> None:
    assert "; ".join(review_flags(alpha)) == flags


@pytest.mark.parametrize(
    ("agreement", "flags"),
    [(0.75, ()), (0.74, ("views of it (whole, mirrored, centre) agree on only 74% of the object",))],
)
def test_views_that_differ_are_flagged(agreement: float, flags: tuple[str, ...]) -> None:
    assert cut_out(Image.fromarray(photo(100, 100)), FixedModel(blocks(BODY), agreement)).review_flags == flags


# Models


def redness(picture: Pixels) -> Alpha:
    return (picture[..., 0] == 255).astype(np.float32)


@pytest.mark.parametrize("size", [(6, 10), (10, 6), (7, 10), (6, 6)])
def test_consistent_views_agree_and_are_aligned(size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    picture[1:4, 1:5] = 255  # neither symmetric nor inside the central square
    estimate = models.combine_views(picture, redness)
    np.testing.assert_array_equal(estimate.alpha, redness(picture))
    assert estimate.alpha.dtype == np.float32
    assert estimate.agreement == 1


def test_mean_of_two_views_selects_maximum_or_minimum() -> None:
    predictions = iter(np.array([[0.9, 0.9, 0.6, 0.1], [0.3, 0.0, 0.2, 0.7], [1, 1, 1, 1]], np.float32))

    def predict(picture: Pixels) -> Alpha:
        return np.repeat([next(predictions)[: picture.shape[1]]], picture.shape[0], axis=0)

    estimate = models.combine_views(photo(4, 2), predict)
    # The second view, mirrored back, is 0.7, 0.2, 0, 0.3.
    np.testing.assert_array_equal(estimate.alpha, np.array([[0.9, 0.9, 0, 0.1]] * 2, np.float32))


def test_agreement_is_the_area_of_all_views_over_the_area_of_any_view() -> None:
    """The object is columns 5 to 9, but the mirrored view also contains column 4."""
    predictions = iter((np.arange(10) >= 5, np.arange(10) < 6, np.arange(2, 8) >= 5))

    def predict(picture: Pixels) -> Alpha:
        return np.repeat([next(predictions)], picture.shape[0], axis=0).astype(np.float32)

    assert models.combine_views(np.zeros((6, 10, 3), np.uint8), predict).agreement == pytest.approx(5 / 6)


def test_agreement_is_0_if_no_view_finds_an_object() -> None:
    estimate = models.combine_views(np.zeros((6, 10, 3), np.uint8), redness)
    assert estimate.agreement == 0
    assert not estimate.alpha.any()


def test_grabcut_is_accurate_and_deterministic_on_a_distinct_object() -> None:
    truth = disc(500, 400, 110, 2)
    picture = mix_colours(truth, noise=12)
    alpha = models.GrabCut().estimate(picture).alpha
    assert alpha.shape == truth.shape
    found = alpha >= 0.5
    assert (found & (truth >= 0.5)).sum() / (found | (truth >= 0.5)).sum() > 0.97
    np.testing.assert_array_equal(models.GrabCut().estimate(picture).alpha, alpha)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 3), (40, 2)])
def test_grabcut_accepts_tiny_and_uniform_pictures(size: tuple[int, int]) -> None:
    alpha = models.GrabCut().estimate(np.full((size[1], size[0], 3), 90, np.uint8)).alpha
    assert alpha.shape == (size[1], size[0])
    assert alpha.min() >= 0
    assert alpha.max() <= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_models_of_rembg_that_run_locally(name: str) -> None:
    network = models._session_class(name)
    assert network.name() == name
    assert getattr(network, "is_local", lambda: True)()


def test_network_that_cannot_be_downloaded_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setattr("pooch.retrieve", refuse)
    with pytest.raises(InputError) as caught:
        models.load_model("u2net")
    message = str(caught.value)
    assert message.startswith(
        f"--model u2net: u2net.onnx is not in U2NET_HOME ({tmp_path}) and could not be downloaded"
    )
    assert "(Network is unreachable)" in message
    assert "--model grabcut" in message
    assert "\n" not in message


def test_networks_of_a_user_without_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("U2NET_HOME", raising=False)
    without_home(monkeypatch)
    with pytest.raises(InputError) as caught:
        models.load_model("u2net")
    assert str(caught.value) == (
        "--model u2net: networks are kept in the home folder, which is not known; set HOME, or set U2NET_HOME to the"
        " folder that holds them."
    )
    assert list(tmp_path.iterdir()) == []


# Files


def test_records_survive_writing_and_reading(tmp_path: Path) -> None:
    files = CutoutFiles(str(tmp_path / "out"))
    full = Record("dog/rex", "ab", "", ("a", "b"), (640, 480), (1, 2, 3, 4), 0.25, b"\x89PNG")
    for record in (full, Record("dog/a.b", "", bad="is truncated")):
        files.write(files.record(record.label), record.to_json())
        assert files.read_record(record.label) == record
    assert files.recorded() == ["dog/a.b", "dog/rex"]
    files.forget("dog/rex")
    assert files.recorded() == ["dog/a.b"]


def test_damaged_record_is_named_in_the_error(tmp_path: Path) -> None:
    files = CutoutFiles(str(tmp_path))
    files.write(files.record("rex"), b"{}")
    with pytest.raises(RunError, match=r"rex\.json cannot be read .* delete it"):
        files.read_record("rex")
