"""The tables of papers that this project is held to: all of them, or those whose numbers are given.

    python benchmarks/paper_tables.py 1 2 --seeds 3

Each runs on the full data, prints the paper's figure, ours and the command, and takes from minutes to hours.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

PAPERS = Path(__file__).parent / "papers"
TABLES = {
    1: "deep_compression.py",
    2: "magnitude_against_random.py",
    3: "resnet20_cifar10.py",
    4: "temperature_bits.py",
    5: "soft_hard_none.py",
    6: "order.py",
}
"""6 is of no paper: pruning, quantizing and distilling in every order."""


def main(
    numbers: Annotated[list[int] | None, typer.Argument(help="Of 1 to 6; all if none is given.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds of the tables that have several.", min=1)] = 3,
    checkpoint: Annotated[Path | None, typer.Option(help="The published ResNet-20, for table 3.")] = None,
) -> None:
    """Print one table after the other."""
    for number in numbers or list(TABLES):
        if number not in TABLES:
            raise typer.BadParameter(f"There is no table {number}; choose from 1 to {max(TABLES)}.")
        if number == 3 and checkpoint is None:
            print("Table 3 is left out: name the published weights with --checkpoint.", flush=True)
            continue
        more = [*([str(checkpoint)] if number == 3 else []), "--seeds", str(seeds)]
        print(f"\nTable {number}: python benchmarks/papers/{TABLES[number]} {' '.join(more)}\n", flush=True)
        subprocess.run([sys.executable, str(PAPERS / TABLES[number]), *more], check=True)


if __name__ == "__main__":
    typer.run(main)
