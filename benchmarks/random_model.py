"""A LLaVA of any size with random weights, written as a real folder of shards: see `llavakit.bench.shapes`.

python benchmarks/random_model.py OUT [--shapes 7b|13b|tiny-random] [--layers N]
"""

import argparse
from pathlib import Path

from llavakit.bench.shapes import SHAPES, write_random

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shapes", choices=SHAPES, default="7b")
    parser.add_argument("--layers", type=int, help="of the language model; as published unless you say")
    arguments = parser.parse_args()
    write_random(arguments.out, arguments.shapes, arguments.layers)
