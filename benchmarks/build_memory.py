"""Measures time and peak memory of the process tree of `build` for increasing numbers of examples.

    python benchmarks/build_memory.py --backgrounds DIR --foregrounds DIR [--placements 2 20]

The defaults are no depth and 200x200 pixels. All other flags are passed to `build`, for example --depth_model=mini
--image_size=224, or --direct_num_workers=2 --direct_running_mode=multi_processing.
"""

import argparse
import shutil
import sys
import tempfile

from process_tree import measure


def main() -> None:
    """Run the builds one after another and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backgrounds", required=True)
    parser.add_argument("--foregrounds", required=True)
    parser.add_argument("--placements", type=int, nargs="+", default=[2, 20])
    arguments, flags = parser.parse_known_args()
    for placements in arguments.placements:
        data_dir = tempfile.mkdtemp()
        command = [sys.executable, "-m", "pipeline", "build", "--depth_model", "none", "--image_size", "200"]
        command += ["--backgrounds", arguments.backgrounds, "--foregrounds", arguments.foregrounds]
        command += ["--data_dir", data_dir, "--placements", str(placements), *flags]
        usage = measure(command)
        (summary,) = [line for line in usage.output.splitlines() if " examples (train " in line]
        examples = summary.split(" examples")[0].strip()
        print(
            f"{examples:>9} examples: peak {usage.peak_rss / 1e6:,.0f} MB, {usage.seconds:.0f} s,"
            f" {int(examples.replace(',', '')) / usage.seconds:,.0f} examples/s",
            flush=True,
        )
        shutil.rmtree(data_dir)


if __name__ == "__main__":
    main()
