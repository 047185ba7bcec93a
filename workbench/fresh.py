"""Run a snippet in this process and tell what it cost. Started as a file, so that nothing else is imported with it."""

import ast
import json
import sys
import time
from types import ModuleType
from typing import Any


def peak_bytes() -> int:
    """The most memory that this process held so far (resident set size)."""
    try:
        # not ru_maxrss: on Linux it starts at the memory of the process that started this one
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        if sys.platform == "win32":
            import psutil

            return int(psutil.Process().memory_info().peak_wset)
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def run(
    snippet: str, shape: list[int], tokens: bool = False, helpers: dict[str, str] | None = None
) -> dict[str, float]:
    """Run the snippet's imports, and then the rest of it on random `inputs` (tokens: on zeros), each with its
    milliseconds and bytes. Helpers are files that it may import."""
    start = time.perf_counter()
    import numpy as np

    names: dict[str, Any] = {
        "__name__": "__main__",
        "np": np,
        "inputs": np.zeros(shape, np.int64) if tokens else np.random.default_rng(0).random(shape, np.float32),
    }
    body = ast.parse(snippet).body
    imports: list[ast.stmt] = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    rest = [node for node in body if node not in imports]
    for name, code in (helpers or {}).items():
        sys.modules[name.removesuffix(".py")] = module = ModuleType(name.removesuffix(".py"))
        exec(compile(code, name, "exec"), module.__dict__)
    exec(compile(ast.Module(imports, []), "imports", "exec"), names)
    imported, before = time.perf_counter(), peak_bytes()
    exec(compile(ast.Module(rest, []), "snippet", "exec"), names)
    done = time.perf_counter()
    return {
        "import_ms": 1e3 * (imported - start),
        "cold_start_ms": 1e3 * (done - imported),
        "runtime_bytes": before,
        "peak_bytes": peak_bytes(),
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(run(**asked)))
