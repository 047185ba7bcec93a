"""Write the packed file: every tensor in the coding that takes the fewest bytes and gives back the very same bits."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import constriction
import numpy as np

from workbench.errors import WorkbenchError
from workbench.packing.format import LARGEST_ALPHABET, LARGEST_MODEL, MAGIC, floats, matrix, number, spread, symbols

LARGEST_CODEBOOK = 2**12
Scale = tuple[np.ndarray, int]  # float32 of shape (), (rows,) or (rows, blocks), and how many values share one in a row


class Encoder:
    """Writes; the other side of `Decoder`."""

    def __init__(self) -> None:
        self.stream = constriction.stream.queue.RangeEncoder()

    def code(self, values: np.ndarray, *model: Any) -> np.ndarray:
        if len(values):
            self.stream.encode(values, *model)
        return values

    def bytes(self) -> bytes:
        return self.stream.get_compressed().astype("<u4").tobytes()


def pack(graph: bytes, weights: dict[str, np.ndarray], scales: dict[str, Scale] | None = None) -> bytes:
    """The bytes of a packed file.

    Parameters
    ----------
    graph : bytes
        An ONNX model whose weights are declared and left out.
    weights : dict of str to numpy.ndarray
        Float32, int8 or uint8.
    scales : dict of str to (numpy.ndarray, int), optional
        The scale and block size of tensors that lie on a grid of integers times that scale.

    Raises
    ------
    WorkbenchError
        If the model is larger than a reader takes.
    """
    if sum(array.size for array in weights.values()) > LARGEST_MODEL:
        raise WorkbenchError("The model is too large to be packed.", f"At most {LARGEST_MODEL:,} weights can be.")
    table, streams = [], []
    for name, array in weights.items():
        coding, stream = smallest(array, (scales or {}).get(name))
        table.append((name, str(array.dtype), array.shape, coding, len(stream) // 4))
        streams.append(stream)
    listed = json.dumps(table, separators=(",", ":")).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = deflate.compress(struct.pack("<I", len(listed)) + listed + graph) + deflate.flush()
    body = struct.pack("<I", len(head)) + head + b"".join(streams)
    return MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def smallest(array: np.ndarray, scale: Scale | None = None) -> tuple[str, bytes]:
    """The name of the best coding for a tensor, and the tensor in it."""
    done = {}
    for coding, write in _codings(array, scale):
        coder = Encoder()
        write(coder)
        done[coding] = coder.bytes()
    return min(done.items(), key=lambda item: len(item[1]))


def _codings(array: np.ndarray, scale: Scale | None) -> Iterator[tuple[str, Callable[[Encoder], None]]]:
    """What codes this tensor exactly."""
    if array.dtype != np.float32:
        yield "integers", lambda coder: _write_integers(coder, array.astype(np.int32))
        return
    bits = np.ascontiguousarray(array).view(np.uint32)  # so that -0.0 is a value of its own
    used = bits[bits != 0]
    levels = np.unique(used)
    yield "floats", lambda coder: _write_floats(coder, array)
    if len(used) < bits.size:
        yield "sparse", lambda coder: _write_sparse(coder, bits != 0, used.view(np.float32))
    if len(levels) <= min(LARGEST_CODEBOOK, bits.size // 2):
        yield "codebook", lambda coder: _write_codebook(coder, bits, levels)
    if scale is not None and (codes := _codes(array, *scale)) is not None:
        yield "grid", lambda coder: _write_grid(coder, codes, *scale)


def _codes(array: np.ndarray, scale: np.ndarray, block: int) -> np.ndarray | None:
    """The integers which, times the scale, are the tensor bit for bit; None if there are none."""
    if block and (array.ndim < 2 or block > array[0].size):
        return None
    wide = spread(scale, array.shape, block)
    codes = np.rint(array / wide).astype(np.int32)
    same = (codes.astype(np.float32) * wide).view(np.uint32) == array.view(np.uint32)
    return codes if same.all() and 2 * np.abs(codes).max(initial=0) < LARGEST_ALPHABET else None


def _write_symbols(coder: Encoder, array: np.ndarray) -> None:
    alphabet = int(array.max(initial=0)) + 1
    turned = array.ndim > 1 and _length(array, alphabet, True) < _length(array, alphabet, False)
    number(coder, alphabet)
    number(coder, int(turned))
    symbols(coder, matrix(array, turned), alphabet)


def _length(array: np.ndarray, alphabet: int, turned: bool) -> int:
    coder = Encoder()
    symbols(coder, matrix(array, turned), alphabet)
    return len(coder.bytes())


def _write_floats(coder: Encoder, array: np.ndarray) -> None:
    floats(coder, array.ravel().copy())


def _write_sparse(coder: Encoder, taken: np.ndarray, values: np.ndarray) -> None:
    _write_symbols(coder, taken.astype(np.int32))
    _write_floats(coder, values)


def _write_codebook(coder: Encoder, bits: np.ndarray, levels: np.ndarray) -> None:
    number(coder, len(levels))
    _write_floats(coder, levels.view(np.float32))
    _write_symbols(coder, np.where(bits == 0, 0, np.searchsorted(levels, bits) + 1).astype(np.int32))


def _write_grid(coder: Encoder, codes: np.ndarray, scale: np.ndarray, block: int) -> None:
    number(coder, int(scale.ndim > 0))
    number(coder, block)
    _write_floats(coder, scale)
    _write_integers(coder, codes)


def _write_integers(coder: Encoder, values: np.ndarray) -> None:
    _write_symbols(coder, np.where(values > 0, 2 * values - 1, -2 * values).astype(np.int32))
