"""Real samples, unpacked from the tars beside the checkout; where they are missing, tests skip."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("CTXBENCH_DATA", HERE.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def unpack(archive: str, wanted: Callable[[str], bool]) -> Path:
        if not (REAL / archive).is_file():
            pytest.skip(f"no {archive} in {REAL} (set CTXBENCH_DATA)")
        root = tmp_path_factory.mktemp(archive.partition(".")[0])
        with tarfile.open(REAL / archive) as tar:
            # Python has had filters since 3.11.4
            options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(root, [member for member in tar if wanted(member.name)], **options)
        return root

    return unpack


@pytest.fixture(scope="session")
def samples(unpacked: Callable[..., Path]) -> Path:
    """The authors' formats: a few samples of many data sets."""
    return unpacked("format_samples.tar", lambda name: "/instance_" not in name) / "format_samples"


@pytest.fixture(scope="session")
def sift_flow(unpacked: Callable[..., Path]) -> Path:
    few = ("coast_natu975.", "insidecity_art947.", "forest_for121.")
    return unpacked(
        "sift_flow.tar", lambda name: name.endswith(".txt") or any(f"/{stem}" in name for stem in few)
    )


@pytest.fixture(scope="session")
def voc12(unpacked: Callable[..., Path]) -> Path:
    few = ("2007_000063.", "2007_000175.")
    return unpacked(
        "voc2012_subset.tar", lambda name: name.endswith(".txt") or any(f"/{stem}" in name for stem in few)
    )
