"""`plan` tells hours and dollars of the Dataflow workers that the flags ask for, and of none if they ask for none."""

from pathlib import Path

import pytest

from pipeline import commands
from tests.end_to_end.helpers import Inputs

FLAGS = ("--image_size=48", "--placements=2", "--data_dir=/nowhere")
L4 = "type:nvidia-l4;count:1;install-nvidia-driver"


def planned(capfd: pytest.CaptureFixture[str], inputs: Inputs, *flags: str) -> str:
    assert commands.run(["plan", *inputs.flags, *FLAGS, *flags]) == 0
    return capfd.readouterr().out


def test_nothing_is_told_of_workers_that_nobody_asked_for(inputs: Inputs, capfd: pytest.CaptureFixture[str]) -> None:
    assert "On Dataflow" not in planned(capfd, inputs)


@pytest.mark.parametrize(
    ("flags", "workers"),
    [
        (("--runner=DataflowRunner",), "1 x n1-standard-1:"),
        (("--num_workers=3",), "3 x n1-standard-1:"),
        (("--num_workers=3", "--max_num_workers=20"), "20 x n1-standard-1:"),
        (("--worker_machine_type=n2-standard-8",), "1 x n2-standard-8:"),
        ((f"--accelerator={L4}", "--machine_type=g2-standard-8"), "1 x g2-standard-8 with 1 nvidia-l4:"),
        ((f"--dataflow_service_options=worker_accelerator={L4}",), "1 x g2-standard-4 with 1 nvidia-l4:"),
    ],
)
def test_workers_that_flags_ask_for(
    inputs: Inputs, flags: tuple[str, ...], workers: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert f"On Dataflow, {workers} about 5 minutes, $" in planned(capfd, inputs, *flags)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        (
            "--machine_type=abacus-8",
            "--machine_type: the price of abacus-8 is unknown. Known machine types: n1-standard-N",
        ),
        (
            "--accelerator=type:abacus;count:1",
            "--accelerator: the price of type:abacus;count:1 is unknown. Use type:NAME",
        ),
    ],
)
def test_unknown_workers_are_one_sentence(
    inputs: Inputs, flag: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert commands.run(["plan", *inputs.flags, *FLAGS, flag]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert told in line


def test_depth_by_a_gpu_or_by_processors(inputs: Inputs, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    depth = f"--depth_model={weights}"
    assert "images/s on a GPU: 30.3 TFLOP/s in float32" in planned(capfd, inputs, depth, f"--accelerator={L4}")
    out = planned(capfd, inputs, depth, f"--accelerator={L4}", "--depth_engine=openvino")
    assert "images/s on one core of this machine" in out
    assert "this build does not use them, but they are billed" in out


def test_pictures_that_do_not_fit_in_memory(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "decoded again" not in planned(capfd, inputs)
    # Half of it is for backgrounds, and that has room for half of five; a quarter for cut-outs, which are small.
    memory = f"--picture_memory={5 * 200 * 200 * 3}B"
    out = planned(capfd, inputs, "--num_workers=1", "--image_size=200", memory)
    assert "Not all pictures fit in memory: 0.50 of an example's two are decoded again, in" in out
    assert "pictures 0.50 per example are read again" in out
