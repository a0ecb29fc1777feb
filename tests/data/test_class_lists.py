"""Class lists of any content are read or refused, never anything else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxbench.data.class_lists import find_class_list
from ctxbench.errors import UserError

NAMES = (
    *("labelmap.txt", "dataset_meta.json", "class_dict.csv", "_classes.csv", "train/_classes.csv"),
    *("classes.txt", "class_names.txt", "labels.txt"),
)
DIGITS, LONG, DEEP = "<9>", "<x>", "<[>"
"""Stand for thousands of what is in them."""
PIECES = st.one_of(
    st.sampled_from(
        (
            *(":", ",", "\n", "\r\n", " ", "*", "-", "#", '"', "'", "0", "1", "255", "65536", DIGITS),
            *(
                "sky",
                "sea",
                "void",
                "__ignore__",
                "label_map",
                "segmentation_colors",
                "{",
                "}",
                "[",
                "]",
                "null",
            ),
            *(
                "0 sky\n",
                "1-3 sea\n",
                "* rest\n",
                "0,0,255 sea\n",
                "sky:1,2,3::\n",
                "sea,9,9,9\n",
                "7, sky\n",
            ),
            *("5-2 no range\n", "name,r,g,b\n", "\x00", "٣ sky\n", "²", LONG, DEEP),
        )
    ),
    st.text(max_size=8),
)


@settings(max_examples=150)
@given(name=st.sampled_from(NAMES), pieces=st.lists(PIECES, max_size=12))
def test_a_list_is_read_or_refused(
    name: str, pieces: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("set")
    (root / name).parent.mkdir(exist_ok=True)
    text = "".join({DIGITS: "9" * 5000, LONG: "x" * 140_000, DEEP: "[" * 100_000}.get(p, p) for p in pieces)
    (root / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        classes = find_class_list(root)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 - it need not be raised
        return
    assert classes is not None
    assert classes.labels


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_list_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"lists no class|is no dataset_meta.json"):
        find_class_list(tmp_path)
