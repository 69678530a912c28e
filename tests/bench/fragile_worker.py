"""A contender that loads, does one thing, fails at another and then dies."""

import os
import sys

from llavakit.bench.workers.serve import Contender, Figures, serve
from llavakit.errors import UsageError


class Fragile(Contender):
    def open(self) -> Figures:
        sys.stdout.write("libraries print what they like, and that is no answer\n")
        return {"seconds": 2.0, "pid": os.getpid()}

    def vision(self, seed: int) -> Figures:
        return {"seconds": 3.0}

    def prefill(self, seed: int) -> Figures:
        raise ArithmeticError("this cannot be computed")

    def answer(self, seed: int) -> Figures:
        raise UsageError("no such thing")

    def turn(self, seed: int) -> Figures:
        sys.stderr.write("the first line\nout of luck\n")
        sys.stderr.flush()
        os._exit(3)

    def fresh(self, seed: int) -> Figures:
        os.abort()

    def batch(self, seed: int, rows: int) -> Figures:
        raise AssertionError("the dead are not asked")


if __name__ == "__main__":
    serve(Fragile())
