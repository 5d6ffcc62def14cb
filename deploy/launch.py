"""The launcher of the Flex Template: `build`, except that it exits after submitting the job to Dataflow.

    python launch.py --data_dir=gs://bucket/data --overwrite=true ...

A template passes every parameter as --name=value. Switches, which have no value on the command line, are therefore
--name=true or --name=false.
"""

import sys
from collections.abc import Sequence

from fgbg.depth_models.environment import fix_environment
from fgbg.errors import InputError, RunError
from pipeline.build import graph
from pipeline.build.build_plan import make_plan
from pipeline.build.options import BuildOptions
from pipeline.build.resume import opened_dataset
from pipeline.build.run_build import announce, refuse_unreachable
from pipeline.common.flags import flags_of
from pipeline.common.runner import beam_options, new_pipeline, submit
from pipeline.parser import parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Launch a job and return the exit status, which is that of `fgbg`."""
    fix_environment(own_process=True)
    try:
        launch(sys.argv[1:] if arguments is None else arguments)
    except InputError as error:
        print(f"fgbg: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"fgbg: {error}", file=sys.stderr)
        return 1
    return 0


def launch(arguments: Sequence[str]) -> None:
    """Check the inputs, claim the folder of the dataset and submit the graph to the runner.

    Raises:
        InputError: wrong flags, bad inputs, or a complete dataset, for which there is nothing to launch.
        RunError: the folder of the dataset cannot be written.
    """
    _, values, beam_flags = parse(["build", *as_command_line(arguments)])
    pipeline_options = beam_options(beam_flags, "build", BuildOptions)
    refuse_unreachable(values, pipeline_options)
    with new_pipeline(pipeline_options) as pipeline:
        plan = make_plan(values)
        with opened_dataset(plan) as work:
            if work.complete:
                raise InputError(f"{plan.files.directory} is complete: there is nothing to launch.")
            announce(plan, work)
            graph.build(pipeline, plan, work)
            submit(pipeline)


def as_command_line(parameters: Sequence[str]) -> list[str]:
    """Return the parameters as flags of the command line: switches without a value, all others unchanged.

    >>> as_command_line(["--overwrite=true", "--skip_bad_inputs=false", "--name=mine"])
    ['--overwrite', '--name=mine']
    """
    switches = {f"--{name}" for name, flag in flags_of(BuildOptions).items() if flag.is_switch}
    given = []
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name not in switches or value not in ("true", "false"):
            given.append(parameter)
        elif value == "true":
            given.append(name)
    return given


if __name__ == "__main__":
    sys.exit(main())
