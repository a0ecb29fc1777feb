"""Files of tensors that torch.save wrote: read without running code from them, or refused in a few words."""

import re
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ctxbench.errors import UserError, in_one_line

HOLDS = {
    "TorchScript archives": "a TorchScript archive, which is code and never run",
    "legacy .tar format": "a tar archive, or nothing but zeros",
    "PytorchStreamReader failed": "a zip archive that is cut short, damaged, or not torch.save's",
    "not in a subdirectory": "a zip archive that torch.save did not write",
}
"""What torch.load says of a file, and what that means. Its own messages go over several lines, in colours,
and advise to load the file with ``weights_only=False``, which would run whatever code is in it."""


def load_tensors(path: Path) -> Any:
    """Read a file onto the CPU: tensors, numbers, texts, and lists and dicts of such.

    Raises OSError where it cannot be opened, and UserError, which says what it holds, where it is anything
    else: code in it is never run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of here is in the error that follows
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        if error.filename is not None:
            raise
        raise UserError("it holds the beginning of a file: it is cut short") from error  # torch seeks its end
    except UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        what = f"pickled code ({code[1]})" if code else "a pickle of more than tensors"
        raise UserError(f"it holds {what}, which is never run") from error
    except Exception as error:  # bytes that are no pickle can lead the unpickler anywhere
        what = next((words for part, words in HOLDS.items() if part in str(error)), "")
        raise UserError(f"it holds {what or f'no tensors ({in_one_line(error)})'}") from error
