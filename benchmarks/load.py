"""How long a model takes to load and how much memory at most: ours, quantised and not, beside transformers.

    python benchmarks/load.py FOLDER [--packed FOLDER] [--rounds 3]        (FOLDER: see random_model.py)

Each loading is a process of its own, the contenders take turns, and its files are read beforehand, so that
each finds them in the page cache as far as memory goes. Peak is the process's resident set, mapped files
included, less what it was when all imports were done. Prints one JSON object at the end.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

# What each does with {folder}; imports come before the clock.
CONTENDERS = {
    "transformers, as stored": (
        "from transformers import LlavaForConditionalGeneration as M; import torch",
        "M.from_pretrained({folder!r}, dtype='auto')",
    ),
    "transformers, bfloat16": (
        "from transformers import LlavaForConditionalGeneration as M; import torch",
        "M.from_pretrained({folder!r}, dtype=torch.bfloat16)",
    ),
    "llavakit, as stored": ("from llavakit.checkpoint import load", "load({folder!r})"),
    "llavakit, bfloat16": (
        "from llavakit.checkpoint import load; import torch",
        "load({folder!r}, dtype=torch.bfloat16)",
    ),
    "llavakit, int8 while loading": (
        "from llavakit.checkpoint import load; from llavakit.config import Quantization as Q",
        "load({folder!r}, quantization=Q(scheme='int8'))",
    ),
    "llavakit, int4 while loading": (
        "from llavakit.checkpoint import load; from llavakit.config import Quantization as Q",
        "load({folder!r}, quantization=Q(scheme='int4'))",
    ),
}
PACKED = "llavakit, a quantised folder"  # what `llava export --quantize` wrote
# A weight counts as loaded when it was read, not when it was mapped: all are summed.
PROGRAM = """
{imports}
import json, time
from pathlib import Path
def status(key):
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) * 1024
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
started = time.perf_counter()
loaded = {load}
loaded_at = time.perf_counter()
model = getattr(loaded, "model", loaded) if "{name}".startswith("llavakit") else loaded
for tensor in (*model.parameters(), *model.buffers()):
    tensor.view(-1)[:: 2048 // tensor.itemsize].float().sum()  # touches every page
print(json.dumps({{"load": loaded_at - started, "ready": time.perf_counter() - started,
                  "peak": status("VmHWM") - before}}))
"""


def measure(name: str, folder: Path) -> dict[str, float]:
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as stream:
            while stream.read(1 << 24):
                pass
    imports, load = CONTENDERS["llavakit, as stored" if name == PACKED else name]
    program = PROGRAM.format(imports=imports, load=load.format(folder=str(folder)), name=name)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packed", type=Path, help="the same model, quantised")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folders = dict.fromkeys(CONTENDERS, arguments.folder)
    if arguments.packed is not None:
        folders[PACKED] = arguments.packed
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in folders}
    for _ in range(arguments.rounds):
        for name, found in runs.items():
            found.append(measure(name, folders[name]))
    report = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for name, found in runs.items()
    }
    first = next(iter(report.values()))
    print(f"{'':32}{'load s':>9}{'ready s':>9}{'peak GB':>9}{'x time':>8}{'x memory':>10}")
    for name, row in report.items():
        ratios = f"{row['ready'] / first['ready']:8.2f}{row['peak'] / first['peak']:10.2f}"
        print(f"{name:32}{row['load']:9.2f}{row['ready']:9.2f}{row['peak'] / 1e9:9.2f}{ratios}")
    print(json.dumps({"folder": str(arguments.folder), "rounds": arguments.rounds, "medians": report}))


if __name__ == "__main__":
    main()
