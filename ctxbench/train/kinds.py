"""The kinds of numbers that settings are, with the words in which any other value is refused.

Unlike :mod:`ctxbench.typed`, where a number is a float, these leave a whole number an int: see below.
"""

import sys
from typing import Annotated

from msgspec import Meta

from ctxbench.train.loggers import Name

MOST = 1 << 53
"""Every whole number up to here is a float too."""
LARGEST = sys.float_info.max
"""Keeps infinity out, and with it what is no number."""

# A whole number stays an int where a float is meant: the digest of a run tells 80 from 80.0.
Number = Annotated[
    Annotated[int, Meta(ge=-MOST, le=MOST)] | Annotated[float, Meta(ge=-LARGEST, le=LARGEST)],
    Meta(description="a finite number"),
]
PositiveNumber = Annotated[
    Annotated[int, Meta(gt=0, le=MOST)] | Annotated[float, Meta(gt=0, le=LARGEST)],
    Meta(description="a positive number"),
]
NotNegativeNumber = Annotated[
    Annotated[int, Meta(ge=0, le=MOST)] | Annotated[float, Meta(ge=0, le=LARGEST)],
    Meta(description="a number from 0 up"),
]
Momentum = Annotated[
    Annotated[int, Meta(ge=0, lt=1)] | Annotated[float, Meta(ge=0, lt=1)],
    Meta(description="a number from 0 up, and below 1"),
]
Range = Annotated[tuple[PositiveNumber, PositiveNumber], Meta(description="a range such as [0.5, 2.0]")]
Count = Annotated[int, Meta(gt=0, le=MOST, description="a positive whole number")]
Dilations = Annotated[tuple[Count, ...] | None, Meta(description="a list of positive whole numbers")]
Loggers = Annotated[tuple[Name, ...] | None, Meta(description="a list of wandb and mlflow")]
CountOrZero = Annotated[int, Meta(ge=0, le=MOST, description="a whole number from 0 up")]
Seed = Annotated[int, Meta(ge=0, lt=1 << 32, description="a whole number from 0 up, and below 2**32")]
Crop = Annotated[int, Meta(ge=65, le=1 << 16, description="a whole number of at least 65 pixels")]
