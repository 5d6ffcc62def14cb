"""deploy/README.md: its commands are valid for the shell and the parsers, and its table equals that of `plan`."""

import json
import re
import shlex
import subprocess
from dataclasses import replace

import pytest

from deploy.make_metadata import METADATA
from pipeline.build.dataflow_estimate import Job, estimate_fleet, make_fleet
from pipeline.build.options import BuildOptions
from pipeline.common.runner import beam_options
from pipeline.parser import COMMANDS, parse
from transforms.assets import expected_cache_misses

PAGE = METADATA.with_name("README.md")
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)
VARIABLES = {
    "PROJECT": "my-project",
    "REGION": "us-central1",
    "BUCKET": "my-bucket",
    "TAG": "1",
    "IMAGES": "us-central1-docker.pkg.dev/my-project/fgbg",
    "ACCOUNT": "fgbg-worker@my-project.iam.gserviceaccount.com",
}


def commands(start: str) -> list[list[str]]:
    """Return the words of each command of the page with this start, after shell expansion of variables."""
    lines = "\n".join(BLOCKS).replace("\\\n", " ").splitlines()
    lines = [re.sub(r"\$(\w+)", lambda name: VARIABLES[name[1]], line) for line in lines if line.startswith(start)]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("block", BLOCKS)
def test_shell_syntax(block: str) -> None:
    subprocess.run(["bash", "-n"], input=block, text=True, check=True, capture_output=True)


def test_page_sets_the_variables_that_it_uses() -> None:
    script = BLOCKS[0].split("\n\n")[0] + "\n" + "".join(f'echo "${name}"\n' for name in VARIABLES)
    output = subprocess.run(["bash", "-eu"], input=script, text=True, check=True, capture_output=True).stdout
    assert output.splitlines() == list(VARIABLES.values())
    assert set(re.findall(r"\$([A-Z]+)", "".join(BLOCKS))) == VARIABLES.keys()


@pytest.mark.parametrize("words", commands("fgbg "), ids=lambda words: " ".join(words[1:2]))
def test_every_flag_is_known(words: list[str]) -> None:
    command, options, beam_flags = parse(words[1:])
    beam = beam_options(beam_flags, command, COMMANDS[command].options).get_all_options()
    assert beam["runner"] == "DataflowRunner"
    if command == "build":
        assert options.data_dir == "gs://my-bucket/data"
    if command != "plan":
        assert {name: beam[name] for name in ("project", "region", "temp_location", "service_account_email")} == {
            "project": VARIABLES["PROJECT"],
            "region": VARIABLES["REGION"],
            "temp_location": "gs://my-bucket/tmp",
            "service_account_email": VARIABLES["ACCOUNT"],
        }
        assert "use_runner_v2" in beam["experiments"]
        assert (beam["sdk_location"] == "container") == bool(beam["sdk_container_image"]) != bool(beam["setup_file"])


def test_gpu_workers_have_one_process_and_the_gpu_image() -> None:
    kinds = []
    for words in commands("fgbg build"):
        _, options, beam_flags = parse(words[1:])
        beam = beam_options(beam_flags, "build", BuildOptions).get_all_options()
        services = beam["dataflow_service_options"] or []
        hints, service = bool(options.accelerator), any("worker_accelerator" in option for option in services)
        on_gpu = hints or service
        assert not (hints and service)
        assert hints == ("enable_prime" in services) == (hints and not beam["machine_type"])
        assert ("no_use_multiple_sdk_containers" in beam["experiments"]) == on_gpu
        assert ("worker-gpu" in (beam["sdk_container_image"] or "")) == on_gpu
        assert beam["number_of_worker_harness_threads"] == (4 if on_gpu else 1)
        kinds.append((hints, service))
    assert kinds == [(False, False), (False, True), (True, False), (False, False)]


def test_parameters_of_the_template() -> None:
    described = {parameter["name"]: parameter for parameter in json.loads(METADATA.read_text())["parameters"]}
    (words,) = commands("gcloud dataflow flex-template run")
    values = [word.partition("=")[2] for word in words if word.startswith("--parameters=")]
    given = dict(pair.split("=", 1) for value in values for pair in value.split(","))
    assert given.keys() >= {name for name, parameter in described.items() if not parameter["isOptional"]}
    (other,) = re.findall(r"--parameters='\^~\^(.*?)'", TEXT)
    given |= dict(pair.split("=", 1) for pair in other.split("~"))
    for name, value in given.items():
        (pattern,) = described[name]["regexes"]
        assert re.search(pattern, value), name


def table(header: str) -> list[list[str]]:
    """Return the cells of the rows below a table header."""
    _, *rows = TEXT.split(header)[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_table_of_four_billion_examples() -> None:
    examples = 10_000 * 10_000 * 2 * 20
    core_seconds = 1 / 290
    nets = {"mini": (2 / 100 - core_seconds, 1.44e9), "nyu": (1.914, 245.35e9)}
    pictures = {"background_bytes": 224 * 224 * 3, "cutout_bytes": 123 * 123 * 4}
    in_one = expected_cache_misses(backgrounds=10_000, cutouts=10_000, **pictures)
    assert expected_cache_misses(backgrounds=1_667, cutouts=2_000, **pictures) == 0
    assert f"{in_one:.2f} of its two" in TEXT
    assert "--picture_memory=3.1GB" in TEXT
    assert expected_cache_misses(backgrounds=10_000, cutouts=10_000, **pictures, memory=int(3.1e9)) == 0
    rows = table("| depth | workers | GPU | precision | hours | dollars | in one, hours | dollars |\n")
    assert len(rows) == 7
    for net, machine, gpu, precision, *figures in rows:
        depth_core_seconds, gpu_operations = nets[net]
        job = Job(
            examples=examples,
            shards=examples // 4000,
            stored_bytes=examples * 64_500,
            core_seconds=core_seconds,
            pictures=0,
            picture_seconds=0.01,
            depth_core_seconds=depth_core_seconds,
            gpu_operations=gpu_operations,
            precision=precision,
        )
        fleet = make_fleet(500, machine, f"type:{gpu};count:1" if gpu else None, None)
        estimates = [estimate_fleet(job, fleet), estimate_fleet(replace(job, pictures=in_one), fleet)]
        assert figures == [text for each in estimates for text in (f"{each.hours:.1f}", f"{each.dollars:,.0f}")]
        assert f"{job.stored_bytes / 1e12:.0f} TB, ${estimates[0].storage_dollars:,.0f} a month" in TEXT
    assert f"{examples // 4000:,} shards of {4000 * 64_500 / 1e6:.0f} MB" in TEXT


def test_files_named_on_the_page_exist() -> None:
    root = PAGE.parents[1]
    for path in re.findall(r"`((?:tests|deploy)/[\w/.]+\.\w+)`", TEXT):
        assert (root / path).is_file(), path
    for link in re.findall(r"\]\(([\w.]+)\)", TEXT):
        assert PAGE.with_name(link).is_file(), link
