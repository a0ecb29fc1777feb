"""A SLURM of one machine: ``sbatch``, ``srun``, ``sacct`` and ``scontrol`` as submitit calls them.

:func:`install` writes the commands into a folder, which a test puts on the PATH. Each job of an array is a
process group; what is known of it lies in a file of its own in the folder ``jobs`` there.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME = "FAKE_SLURM"
COMMANDS = ("sbatch", "srun", "sacct", "scontrol")


def install(folder: Path) -> dict[str, str]:
    """The environment in which the commands are found."""
    (folder / "jobs").mkdir(parents=True)
    for name in COMMANDS:
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{__file__}" {name} "$@"\n')
        path.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", HOME: str(folder)}


def lose(folder: Path, job: str) -> None:
    """Have the node of a job go away."""
    os.killpg(int((folder / "jobs" / f"{job}.pid").read_text()), signal.SIGKILL)


def sbatch(script: str) -> None:
    """Submit the jobs of a script, and leave while they run."""
    if "--partition=closed" in Path(script).read_text():
        sys.exit("sbatch: error: invalid partition specified: closed")
    number = len(list(_home().glob("submission-*"))) + 1
    text = Path(script).read_text()
    (_home() / f"submission-{number}").write_text(text)
    array = re.search(r"--array=0-(\d+)%(\d+)", text)
    names = [f"{number}_{task}" for task in range(int(array[1]) + 1)] if array else [str(number)]
    for name in names:
        _note(name, "PENDING")
    at_once = array[2] if array else "1"
    command = [sys.executable, __file__, "run", script, at_once, *names]
    quiet = subprocess.DEVNULL
    subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    print(f"Submitted batch job {number}")


def run(script: str, at_once: str, *names: str) -> None:
    """What SLURM's own daemons do: run jobs, so many at once, and note what becomes of them."""
    waiting, running = list(names), dict[str, subprocess.Popen[bytes]]()
    kept = Path(script).read_text()  # submitit removes it
    while waiting or running:
        while waiting and len(running) < int(at_once):
            name = waiting.pop(0)
            number, _, task = name.partition("_")
            ids = {"SLURM_JOB_ID": name, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
            ids |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": task} if task else {}
            environment = {**os.environ, **ids}
            running[name] = subprocess.Popen(["sh", "-c", kept], env=environment, start_new_session=True)
            (_home() / "jobs" / f"{name}.pid").write_text(str(running[name].pid))
            _note(name, "RUNNING")
        for name, process in list(running.items()):
            if (code := process.poll()) is None:
                continue
            del running[name]
            if (marker := _home() / "jobs" / f"{name}.requeue").exists():
                marker.unlink()
                waiting.append(name)
            else:
                _note(name, "COMPLETED" if code == 0 else "NODE_FAIL" if code < 0 else "FAILED")
        time.sleep(0.05)


def srun(*arguments: str) -> None:
    """Run the command after the options."""
    places = {"--output": 1, "--error": 2}
    rest = list(arguments)
    while rest[0].startswith("--"):
        option = rest.pop(0)
        if option in places:
            name = os.environ["SLURM_JOB_ID"]
            path = rest.pop(0).replace("%A_%a", name).replace("%j", name).replace("%t", "0")
            os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), places[option])
    os.execvp(rest[0], rest)


def sacct(*_: str) -> None:
    """List every job."""
    print("JobID|State|NodeList")
    for path in sorted((_home() / "jobs").glob("*.state")):
        print(f"{path.stem}|{path.read_text()}|here")


def scontrol(verb: str, name: str) -> None:
    """Put a job back into the queue when it ends."""
    assert verb == "requeue"
    (_home() / "jobs" / f"{name}.requeue").touch()


def _home() -> Path:
    return Path(os.environ[HOME])


def _note(name: str, state: str) -> None:
    path = _home() / "jobs" / f"{name}.state"
    path.with_suffix(".new").write_text(state)
    path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
