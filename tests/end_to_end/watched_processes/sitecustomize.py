"""Python imports this at the start of every process that has this folder on its PYTHONPATH, workers included.

Such processes know the object store of the tests, and tell of every file and folder that Python code makes in them: a
line each, process and path, in the file that FGBG_TEST_MADE_FILES names.
"""

import os
import sys

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events of Python, and which of their arguments is the path that is there afterwards.
_MAKING = {"os.rename": 1, "os.link": 1, "os.symlink": 1, "os.mkdir": 0, "os.truncate": 0}

_log = os.open(os.environ["FGBG_TEST_MADE_FILES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _watch(event: str, arguments: tuple) -> None:
    if event == "open" and arguments[2] & _WRITING:
        path = arguments[0]
    elif event in _MAKING:
        path = arguments[_MAKING[event]]
    else:
        return
    if not isinstance(path, int):  # a file that is open already
        absolute = os.path.abspath(os.fsdecode(path))  # noqa: PTH100, for pathlib would look at the disk
        os.write(_log, f"{os.getpid()} {absolute}\n".encode())


sys.addaudithook(_watch)

# Beam hands its options, and so --beam_plugins, to no worker process on this machine.
import tests.object_store  # noqa: E402, F401
