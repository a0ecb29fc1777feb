"""Labels in MATLAB files: equal to scipy's reading of them, and an end to every damaged one."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.io import loadmat, savemat

from ctxbench.data.mat import MatError, array, field, read_mat
from ctxbench.data.reading import UnreadableFileError, read_labels

DTYPES = [np.uint8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64, np.int64]
NAMES = ("S", "LabelMap", "GTcls")


def saved(content: dict[str, object], compressed: bool) -> bytes:
    file = BytesIO()
    savemat(file, content, do_compression=compressed)
    return file.getvalue()


@settings(max_examples=80)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), compressed=st.booleans())
def test_a_matrix_is_read_as_scipy_reads_it(data: st.DataObject, dtype: type, compressed: bool) -> None:
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    values = data.draw(arrays(dtype, shape, elements=st.integers(0, 120)))
    content = saved({"other": np.array(["x"], object), "S": values, "names": "text"}, compressed)
    variable = read_mat(content, NAMES)
    assert variable is not None
    assert variable[0] == "S"
    read = array(variable[1])
    assert read is not None
    np.testing.assert_array_equal(read, loadmat(BytesIO(content))["S"])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_field_of_a_structure_is_read(compressed: bool) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = saved({"GTcls": {"Boundaries": np.zeros((3, 3)), "Segmentation": values}}, compressed)
    variable = read_mat(content, NAMES)
    assert variable is not None
    inner = field(variable[1], "Segmentation")
    assert inner is not None
    read = array(inner)
    assert read is not None
    assert read.tolist() == values.tolist()


def test_a_big_endian_file_is_read() -> None:
    values = np.array([[1, 2, 3], [4, 500, 6]], np.uint16)
    numbers = values.T.astype(">u2").tobytes()
    parts = struct.pack(">IIII", 6, 8, 11, 0)  # class 11: uint16
    parts += struct.pack(">IIii", 5, 8, 2, 3)
    parts += struct.pack(">HH4s", 1, 1, b"S\0\0\0")  # a name of one letter, in its tag
    parts += struct.pack(">II", 4, len(numbers)) + numbers + b"\0" * (-len(numbers) % 8)
    content = b" " * 124 + b"\x01\x00MI" + struct.pack(">II", 14, len(parts)) + parts
    np.testing.assert_array_equal(loadmat(BytesIO(content))["S"], values)
    variable = read_mat(content, NAMES)
    assert variable is not None
    np.testing.assert_array_equal(array(variable[1]), values)


SAVED = [
    saved({"S": np.arange(48, dtype=np.uint8).reshape(6, 8), "names": np.array(["a", "b"], object)}, False),
    saved({"S": np.arange(48, dtype=np.uint8).reshape(6, 8)}, True),
    saved({"GTcls": {"Boundaries": np.zeros((3, 3)), "Segmentation": np.ones((3, 3), np.uint8)}}, False),
]
WORDS = [b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x0e\0\0\0", b"\x0f\0\0\0"]


@settings(max_examples=400)
@given(data=st.data())
def test_a_damaged_file_ends_in_an_array_nothing_or_one_error(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(SAVED)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(100, len(content) - 1))
        word = data.draw(st.one_of(st.sampled_from(WORDS), st.binary(min_size=0, max_size=8)))
        content[place : place + data.draw(st.sampled_from([0, 1, 4, 8]))] = word
    try:
        variable = read_mat(bytes(content), NAMES)
        if variable is not None:
            values = array(variable[1])
            assert values is None or values.nbytes <= len(content) * 1000
            field(variable[1], "Segmentation") if variable[0] == "GTcls" and values is None else None
    except MatError:
        pass


def changed(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # a type of numbers that there is not: scipy ends the process with a segmentation fault
        (changed(SAVED[0], 177, b"\x10"), "an element of type 4098 stands where numbers should"),
        # a structure of 2**27 elements, each of which scipy makes room for
        (changed(SAVED[2], 160, struct.pack("<ii", 1, 1 << 27)), "holds no labels"),
        (b"\x89HDF\r\n" + bytes(200), r"no MATLAB file of level 5; in MATLAB, save it with -v7"),
        (SAVED[1][:200], "does not fit into it|cut short"),
        (SAVED[0][:128] + struct.pack("<II", 14, 1 << 30), "an element of 1073741824 bytes does not fit"),
        (
            SAVED[0][:128] + struct.pack("<II", 15, 20) + zlib.compress(bytes(100))[:20].ljust(20, b"\0"),
            "damaged|cut short|holds no labels",
        ),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=rf"a\.mat .*(?:{message})"):
        read_labels(tmp_path / "a.mat")
