"""Packing loses nothing, takes about as many bytes as the entropy says, and refuses what is damaged."""

import ast
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workbench import WorkbenchError
from workbench.packing import format, pack, unpack, writing

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7)
FEW = st.sampled_from([0.0, -0.0, 1.0, -1.5, 1e-40, 3.0e38])
FLOATS = st.one_of(FEW, st.floats(width=32, allow_nan=False))
TENSORS = st.one_of(
    arrays.arrays(np.float32, SHAPES, elements=FLOATS),
    arrays.arrays(np.float32, SHAPES, elements=FEW),
    arrays.arrays(np.int8, SHAPES),
    arrays.arrays(np.uint8, SHAPES),
)
GRAPH = b"a graph"


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes())


def chance(*shape: int) -> np.random.Generator:
    return np.random.default_rng(shape)


def sparse(rows: int = 200, columns: int = 300, density: float = 0.05) -> np.ndarray:
    random = chance(rows, columns)
    values = np.float32(np.linspace(-1, 1, 16))[random.integers(0, 16, (rows, columns))]
    return np.where(random.random((rows, columns)) < density, values, np.float32(0))


def entropy(array: np.ndarray) -> float:
    """Bytes, by Shannon, of symbols of these frequencies."""
    counts = np.unique(array, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum() / 8)


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=5), TENSORS, max_size=3), st.binary(max_size=50))
@example({"": np.float32([[-0.0, 0.0], [0.0, -0.0]]), "a": np.zeros((0, 3), np.float32)}, b"")
@example({"scalar": np.array(-0.0, np.float32), "nan": np.float32([np.nan, np.inf] * 9)}, b"")
def test_reading_back_gives_the_very_same_bits(weights, graph):
    again, read = unpack(pack(graph, weights))
    assert again == graph
    assert list(read) == list(weights)
    assert all(same(read[name], array) for name, array in weights.items())


@settings(max_examples=30)
@given(
    codes=arrays.arrays(np.int16, st.tuples(st.integers(1, 4), st.integers(1, 40))),
    shape=st.sampled_from(["tensor", "row", "block"]),
    block=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_a_grid_of_integers_times_scales_is_read_back_exactly(codes, shape, block, seed):
    rows, columns = codes.shape
    block = min(block, columns)
    sizes = {"tensor": (), "row": (rows,), "block": (rows, -(-columns // block))}
    scale = np.float32(np.random.default_rng(seed).uniform(1e-3, 1, sizes[shape]))
    wide = scale.reshape(-1, 1) if shape == "row" else scale
    if shape == "block":
        wide = scale.repeat(block, axis=1)[:, :columns]
    array = codes.astype(np.float32) * wide
    _, read = unpack(pack(GRAPH, {"w": array}, {"w": (scale, block if shape == "block" else 0)}))
    assert same(read["w"], array)


@pytest.mark.parametrize(
    ("coding", "array", "scale"),
    [
        ("codebook", sparse(), None),
        ("codebook", np.float32(np.linspace(-1, 1, 8))[chance(1).integers(0, 8, (50, 50))], None),
        ("sparse", np.float32(np.where(chance(2).random((50, 50)) < 0.1, chance(3).normal(size=(50, 50)), 0)), None),
        ("floats", np.float32(chance(4).normal(size=(50, 50))), None),
        ("integers", chance(5).integers(-128, 128, (50, 50)).astype(np.int8), None),
        (
            "grid",
            chance(6).integers(-8, 8, (64, 40)).astype(np.float32) * np.float32(chance(7).random((64, 1))),
            (np.float32(chance(7).random(64)), 0),
        ),
    ],
)
def test_the_smallest_coding_is_chosen(coding, array, scale):
    assert writing.smallest(array, scale)[0] == coding


def test_a_scale_that_the_tensor_does_not_lie_on_is_no_coding():
    array = np.float32(chance(1).normal(size=(20, 20)))
    assert writing.smallest(array, (np.float32(0.1), 0))[0] == "floats"


def test_a_symbol_takes_as_many_bytes_as_its_entropy_and_fewer_where_zeros_cluster():
    even = sparse()
    assert entropy(even) < len(writing.smallest(even)[1]) < 1.05 * entropy(even) + 100
    uneven = np.where(np.arange(300) % 10 == 0, sparse(density=0.5), np.float32(0))
    assert len(writing.smallest(uneven)[1]) < 0.85 * entropy(uneven), "columns of zeros"
    turned = np.ascontiguousarray(uneven.T)
    assert len(writing.smallest(turned)[1]) < 0.85 * entropy(uneven), "rows of zeros"
    bands = np.repeat(sparse(50), 4, axis=0)
    assert len(writing.smallest(bands)[1]) < 0.85 * entropy(bands), "neighbours alike"


def test_the_same_weights_give_the_same_bytes():
    assert pack(GRAPH, {"w": sparse()}) == pack(GRAPH, {"w": sparse()})


def test_reading_needs_nothing_of_this_project():
    nodes = list(ast.walk(ast.parse(Path(format.__file__).read_text(encoding="utf-8"))))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert named <= {"numpy", "constriction", *sys.stdlib_module_names}


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place, change):
    data = bytearray(pack(GRAPH, {"w": sparse(20, 30)}))
    data[place % len(data)] ^= change
    with pytest.raises((ValueError, struct.error)):
        unpack(bytes(data))


def forged(table: object, streams: bytes = b"", graph: bytes = GRAPH) -> bytes:
    """A file with a right checksum and whatever else."""
    listed = json.dumps(table).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = deflate.compress(struct.pack("<I", len(listed)) + listed + graph) + deflate.flush()
    body = struct.pack("<I", len(head)) + head + streams
    return format.MAGIC + struct.pack("<I", zlib.crc32(body)) + body


@pytest.mark.parametrize(
    "table",
    [
        [["w", "float32", [2**20, 2**20], "floats", 0]],
        [["w", "float32", [2**62, 2**62], "codebook", 0]],
        [["w", "float32", [-1], "floats", 0]],
        [["w", "float32", [1.5], "floats", 0]],
        [["w", "object", [1], "floats", 0]],
        [["w", "float32", [1], "pickle", 0]],
        [["w", "float32", "shape", "floats", 0]],
        [["w"]],
        {"w": 1},
        None,
    ],
)
def test_a_table_that_cannot_be_is_refused(table):
    with pytest.raises((ValueError, TypeError, KeyError)):
        unpack(forged(table))


@settings(max_examples=60)
@given(st.sampled_from(sorted(format.READERS)), st.binary(max_size=80).map(lambda data: data[: len(data) // 4 * 4]))
def test_streams_of_anything_end_in_a_tensor_or_an_exception(coding, stream):
    try:
        _, weights = unpack(forged([["w", "float32", [3, 7], coding, len(stream) // 4]], stream))
    except Exception as error:
        assert not isinstance(error, MemoryError)
    else:
        assert weights["w"].shape == (3, 7)


def test_a_head_that_would_fill_the_memory_is_cut():
    bomb = forged([], graph=b"\0" * (format.LARGEST_HEAD + 10**6))
    assert len(bomb) < 10**6
    graph, _ = unpack(bomb)
    assert len(graph) < format.LARGEST_HEAD


def test_a_model_too_large_to_be_read_is_not_written(monkeypatch):
    monkeypatch.setattr(writing, "LARGEST_MODEL", 10)
    with pytest.raises(WorkbenchError, match="too large to be packed"):
        pack(GRAPH, {"w": np.zeros((3, 4), np.float32)})
