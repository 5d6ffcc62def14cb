"""Measures time and peak memory of the process tree of `verify` for existing datasets.

    python benchmarks/verify_speed.py data/fg_bg_depth/1.0.0 [DIR ...] [--direct_num_workers=1 ...]

"examples/s" is the rate over the whole command. "steady" is the final rate of its progress bar, which excludes startup
and checking the companions.
"""

import argparse
import re
import sys

from process_tree import measure


def main() -> None:
    """Verify the datasets one after another and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="DIR")
    arguments, beam_flags = parser.parse_known_args()
    print("| examples | seconds | examples/s | steady | peak memory |\n|---|---|---|---|---|")
    for dataset in arguments.datasets:
        usage = measure([sys.executable, "-m", "pipeline", "verify", dataset, *beam_flags])
        examples = int(re.findall(r"records: [\d,]+ of ([\d,]+)", usage.output)[0].replace(",", ""))
        steady = re.findall(r"\(100%\), ([\d,]+) examples/s", usage.output)[-1]
        print(
            f"| {examples:,} | {usage.seconds:.0f} | {examples / usage.seconds:,.0f} | {steady}"
            f" | {usage.peak_rss / 1e6:,.0f} MB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
