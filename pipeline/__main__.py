"""`python -m pipeline`."""

import sys
from pathlib import Path

# `-m` looks in the working directory first. Only a checkout is meant to be found there: a module of a user's own that
# has the name of one of ours, such as transforms.py, is not.
if not sys.flags.safe_path and Path(sys.path[0]) == Path.cwd() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
