"""How far the output of a 7B's layers moves when its weights get 8 or 4 bits.

    python benchmarks/quantisation.py

Weights are normal with a deviation of 0.02, inputs normal; then again with 12 input channels twenty times
as strong, as real models have them. Figures are norm(exact - packed) / norm(exact) of the output, both in
float32 (bitsandbytes computes in 16 bits). Prints one JSON object at the end.
"""

import json

import torch
from torch import nn

from llavakit.config import Quantization
from llavakit.model.quantised import LINEARS

SHAPES = {"attention": (4096, 4096), "mlp up": (11008, 4096), "mlp down": (4096, 11008)}
GROUPS = {"int4": (32, 64, 128)}
_ROWS, _OUTLIERS, _STRENGTH = 32, 12, 20


def error(height: int, width: int, scheme: str, group: int, outliers: bool) -> float:
    torch.manual_seed(0)
    weight = torch.randn(height, width) * 0.02
    x = torch.randn(_ROWS, width)
    if outliers:
        x[:, torch.randperm(width)[:_OUTLIERS]] *= _STRENGTH
    exact = nn.functional.linear(x, weight)
    layer = LINEARS[scheme](width, height, False, group)
    for name, tensor in layer.pack(weight, group, torch.float16).items():
        setattr(layer, name, tensor)
    dtype = torch.float16 if scheme.startswith("bnb") else torch.float32
    with torch.inference_mode():
        near = layer(x.to(dtype)).float()
    return float((exact - near).norm() / exact.norm())


def main() -> None:
    report: dict[str, dict[str, float]] = {}
    columns = [f"{shape}{way}" for shape in SHAPES for way in ("", ", outliers")]
    print(f"{'':16}" + "".join(f"{column:>20}" for column in columns))
    for scheme in LINEARS:
        for group in GROUPS.get(scheme, (Quantization(scheme=scheme).group_size,)):
            name = f"{scheme}, {group}" if scheme in GROUPS else scheme
            report[name] = {
                f"{shape}{', outliers' if outliers else ''}": error(height, width, scheme, group, outliers)
                for shape, (height, width) in SHAPES.items()
                for outliers in (False, True)
            }
            print(f"{name:16}" + "".join(f"{report[name][column]:20.4f}" for column in columns), flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
