"""How a packed model is read: a graph, and weights that a range coder has coded. Needs numpy and constriction only.

The file: ``WBP1``, the CRC-32 of all that follows, the length of the head, the head, and a stream for each tensor. The
head, deflated: the length of the table, the table (JSON: name, type, shape, coding and stream length of each tensor),
and the graph. What codes a stream also decodes it: `number`, `symbols` and `floats` run in both directions, so that the
two can't disagree.
"""

import json
import struct
import zlib
from typing import Any, Protocol

import constriction
import numpy as np
from numpy import ndarray

MODELS = constriction.stream.model
MAGIC = b"WBP1"
LARGEST_HEAD = 2**26  # bytes
LARGEST_MODEL = 2**28  # values in all tensors together
LARGEST_ALPHABET = 2**16 + 1
TRUST = 16.0  # how many symbols the share of the whole tensor counts for, against those that were seen
RARE = 2.0**-20
ABOVE = 4  # rows whose symbols foretell the next
CHUNK = 1024  # floats between two looks at their frequencies
NARROW = 64  # symbols in a row of what has no rows


class Coder(Protocol):
    """One direction."""

    def code(self, values: ndarray, *model: Any) -> ndarray:
        """Write values under a model; or read as many as given, whatever they are. Returns them."""


class Decoder:
    """Reads what an encoder wrote."""

    def __init__(self, data: bytes):
        self.stream = constriction.stream.queue.RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))

    def code(self, values: ndarray, *model: Any) -> ndarray:
        if not len(values):
            return values
        return self.stream.decode(*(model if len(model) > 1 else (*model, len(values))))


class Frequencies:
    """An adaptive model: each symbol's probability is its share of those seen so far (each counts as seen once)."""

    def __init__(self, alphabet: int):
        self.counts = np.ones(alphabet)

    def code(self, coder: Coder, values: ndarray) -> ndarray:
        if len(self.counts) == 1:
            return np.zeros_like(values)
        if len(values):
            values = coder.code(values, MODELS.Categorical(self.counts / self.counts.sum(), perfect=False))
            self.counts += np.bincount(values, minlength=len(self.counts))
        return values


def number(coder: Coder, value: int = 0, largest: int = 2**32 - 1) -> int:
    """One integer from 0 to `largest`."""
    halves = coder.code(np.array([value >> 16, value & 0xFFFF], np.int32), MODELS.Uniform(2**16))
    value = int(halves[0]) << 16 | int(halves[1])
    if value > largest:
        raise ValueError("a number that can't be")
    return value


def odds(probability: Any) -> Any:
    return probability / (1 - probability)


def symbols(coder: Coder, values: ndarray, alphabet: int) -> ndarray:
    """Symbols below `alphabet` in a matrix of int32, in place, row by row.

    First which of a row are 0, then which of the others each is, by their frequencies so far. What is pruned clusters:
    the odds that a symbol is not 0 are those of its column so far, times those of all that had the same pattern in the
    rows above, over those of the whole tensor.
    """
    columns = values.shape[1]
    share = number(coder, int(np.count_nonzero(values)), values.size) / max(1, values.size)
    share = min(max(share, RARE), 1 - RARE)
    by_column, by_pattern = np.full(columns, TRUST * share), np.full(2**ABOVE, TRUST * share)
    seen, above = np.full(2**ABOVE, TRUST), np.zeros((ABOVE, columns), np.int64)
    others = Frequencies(max(1, alphabet - 1))
    for index, row in enumerate(values):
        pattern = 2 ** np.arange(ABOVE) @ above
        likely = odds(by_column / (index + TRUST)) * odds((by_pattern / seen)[pattern]) / odds(share)
        rates = likely / (1 + likely)
        taken = coder.code((row != 0).astype(np.int32), MODELS.Bernoulli(perfect=False), rates)
        chosen = taken == 1
        row[~chosen], row[chosen] = 0, 1 + others.code(coder, row[chosen] - 1)
        by_column += taken
        by_pattern += np.bincount(pattern, taken, 2**ABOVE)
        seen += np.bincount(pattern, minlength=2**ABOVE)
        above = np.vstack([taken[None], above[:-1]])
    return values


def floats(coder: Coder, values: ndarray) -> ndarray:
    """Any float32 values in a vector, in place: each of their four bytes by its frequencies so far."""
    planes = values.view("<u4").view(np.uint8).reshape(-1, 4)
    for plane in range(4):
        frequencies = Frequencies(256)
        for start in range(0, len(planes), CHUNK):
            part = planes[start : start + CHUNK, plane]
            part[:] = frequencies.code(coder, part.astype(np.int32))
    return values


def matrix(array: ndarray, turned: bool) -> ndarray:
    """An array as a matrix whose rows, or, turned, whose columns, are its first dimension; a vector in short rows."""
    if array.ndim < 2:
        flat = np.zeros(-(-array.size // NARROW) * NARROW, array.dtype)
        flat[: array.size] = array.ravel()
        return flat.reshape(-1, NARROW)
    flat = array.reshape(len(array), int(np.prod(array.shape[1:])))
    return np.ascontiguousarray(flat.T) if turned else flat.copy()


def spread(scale: ndarray, shape: tuple[int, ...], block: int) -> ndarray:
    """A scale, for all, for each row or for each block of a row, as one for each value."""
    if scale.ndim == 2:
        return np.repeat(scale, block, axis=1)[:, : int(np.prod(shape[1:]))].reshape(shape)
    return scale.reshape(scale.shape + (1,) * (len(shape) - 1)) if scale.ndim else scale


def read_symbols(coder: Coder, shape: tuple[int, ...]) -> ndarray:
    """An array of int32; before it its alphabet, and whether its matrix is turned."""
    alphabet, turned = number(coder, 0, LARGEST_ALPHABET), number(coder, 0, 1) == 1
    flat = symbols(coder, matrix(np.zeros(shape, np.int32), turned), alphabet)
    return (flat.T if turned else flat).ravel()[: int(np.prod(shape))].reshape(shape)


def read_floats(coder: Coder, shape: tuple[int, ...]) -> ndarray:
    return floats(coder, np.zeros(int(np.prod(shape)), np.float32)).reshape(shape)


def read_sparse(coder: Coder, shape: tuple[int, ...]) -> ndarray:
    """Which values are not zero, and these."""
    out, taken = np.zeros(shape, np.float32), read_symbols(coder, shape) != 0
    out[taken] = read_floats(coder, (int(taken.sum()),))
    return out


def read_codebook(coder: Coder, shape: tuple[int, ...]) -> ndarray:
    """The distinct values besides zero, and which of them each value is."""
    levels = read_floats(coder, (number(coder, 0, LARGEST_ALPHABET),))
    return np.append(np.float32(0), levels)[read_symbols(coder, shape)]


def read_grid(coder: Coder, shape: tuple[int, ...]) -> ndarray:
    """Integers times a scale, which is one for all, for each row, or for each block of a row."""
    width = int(np.prod(shape[1:]))
    per_row, block = number(coder, 0, 1), number(coder, 0, width)
    scale = read_floats(coder, (shape[0], -(-width // block)) if block else shape[:1] if per_row else ())
    return read_integers(coder, shape).astype(np.float32) * spread(scale, shape, block)


def read_integers(coder: Coder, shape: tuple[int, ...]) -> ndarray:
    """0, 1, -1, 2, -2, ... as 0, 1, 2, 3, 4, ..."""
    folded = read_symbols(coder, shape)
    return np.where(folded % 2, folded // 2 + 1, -(folded // 2))


READERS = {
    "floats": read_floats,
    "sparse": read_sparse,
    "codebook": read_codebook,
    "grid": read_grid,
    "integers": read_integers,
}
TYPES = ("float32", "int8", "uint8")


def unpack(data: bytes) -> tuple[bytes, dict[str, ndarray]]:
    """The graph (an ONNX model without its weights), and the weights by name; an exception where `data` is damaged."""
    magic, checksum, length = struct.unpack_from("<4sII", data)
    if magic != MAGIC or zlib.crc32(data[8:]) != checksum:
        raise ValueError("not a packed model, or a damaged one")
    head = zlib.decompressobj(-15).decompress(data[12 : 12 + length], LARGEST_HEAD)
    (split,) = struct.unpack_from("<I", head)
    table, graph = json.loads(head[4 : 4 + split]), head[4 + split :]
    shapes = [tuple(shape) for _, _, shape, _, _ in table]
    if any(size < 0 for shape in shapes for size in shape) or any(kind not in TYPES for _, kind, *_ in table):
        raise ValueError("a table that can't be")
    if sum(int(np.prod(shape, dtype=object)) for shape in shapes) > LARGEST_MODEL:
        raise ValueError("a model too large to be one")
    weights, start = {}, 12 + length
    for (name, kind, _, coding, words), shape in zip(table, shapes, strict=True):
        values = READERS[coding](Decoder(data[start : start + 4 * words]), shape)
        weights[name] = np.ascontiguousarray(values, kind).reshape(shape)
        start += 4 * words
    return graph, weights
