"""What a worker process of the local runner executes: Beam's own worker, with the modules of its launcher.

python -P worker_process.py SYS_PATH_AS_JSON
"""

import json
import sys


def main() -> None:
    """Import from where the launcher imports, then serve the runner that the environment names until it says so."""
    # Replaced before anything but the standard library is imported: a module of the same name in the working directory
    # would be taken for one of ours, and a checkout that is not installed would not be found.
    sys.path[:] = json.loads(sys.argv.pop())
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
