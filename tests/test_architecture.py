"""The house keeps its shape: imports run downwards only, nothing is star-imported, nothing loops."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "llavakit"

# What each room may import, beside `errors` and `config`. `tiny` and `evaluate.score` are explained in
# docs/map.md.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "config": set(),
    "cache": set(),
    "api": set(),
    "files": set(),
    "markup": set(),
    "media": set(),
    "prompt": {"media"},
    "kernels": {"cache"},
    "model": {"kernels"},
    "checkpoint": {"cache", "model", "prompt"},
    "engine": {"checkpoint", "kernels", "model", "prompt", "media"},
    "data": {"files", "prompt", "media"},
    "train": {"cache", "data", "checkpoint", "model", "prompt"},
    "chat": {"engine", "checkpoint", "model", "prompt", "media", "llava"},
    "memory": {"model"},
    "llava": {"chat", "kernels", "memory", "engine", "checkpoint", "model", "prompt", "media"},
    "pipelines": {"chat", "llava", "engine", "prompt", "media"},
    "retrieve": {"checkpoint", "llava"},
    "serve": {"engine", "llava", "media", "memory", "prompt", "retrieve"},
    "evaluate": {"api", "files", "markup", "media"},
    "synth": {"api", "files", "markup"},
    "harness": {"llava", "media", "prompt"},
    "tiny": {"cache", "data", "train", "prompt", "evaluate"},
    "bench": {"cache", "chat", "checkpoint", "engine", "kernels", "llava", "model", "prompt"},
    "__main__": {"cli"},
    "cli": {
        "api", "bench", "chat", "checkpoint", "data", "engine", "evaluate", "files", "llava", "media",
        "memory", "model", "prompt", "retrieve", "serve", "synth", "tiny", "train",
    },
}  # fmt: skip
WITHOUT_TORCH = ("errors", "config", "api", "files", "markup", "media", "prompt", "evaluate", "synth")


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def imports(path: Path) -> list[ast.Import | ast.ImportFrom]:
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Import | ast.ImportFrom)]


def imported_names(path: Path) -> set[str]:
    """Full names of the modules imported anywhere in a file, those for type checkers included."""
    found = set()
    for node in imports(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif node.level:
            package = path.relative_to(ROOT.parent).parent.parts
            base = ".".join(package[: len(package) - node.level + 1])
            found.add(f"{base}.{node.module}" if node.module else base)
        else:
            found.add(node.module or "")
    return found


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_room_has_its_arrows_written_down() -> None:
    assert {room(path) for path in modules()} <= set(ARROWS)


@pytest.mark.parametrize("path", modules(), ids=identify)
def test_imports_run_downwards_only(path: Path) -> None:
    own = room(path)
    allowed = ARROWS[own] | {own, "errors", "config"}
    rooms = {name.split(".")[1] for name in imported_names(path) if name.startswith("llavakit.")}
    assert rooms <= allowed, f"{own} must not import {sorted(rooms - allowed)}"


@pytest.mark.parametrize("path", modules(), ids=identify)
def test_nothing_is_star_imported(path: Path) -> None:
    assert not any(alias.name == "*" for node in imports(path) for alias in node.names)


@pytest.mark.parametrize("path", [p for p in modules() if room(p) in WITHOUT_TORCH], ids=identify)
def test_rooms_without_torch_do_not_import_it(path: Path) -> None:
    assert not any(name.split(".")[0] == "torch" for name in imported_names(path))


def test_transformers_is_an_oracle_of_the_tests_and_else_only_a_peer_that_we_are_measured_beside() -> None:
    users = [
        identify(path)
        for path in modules()
        if any(name.split(".")[0] == "transformers" for name in imported_names(path))
    ]
    assert users == ["bench/workers/transformers_peer.py"]


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    names = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in modules()
    }

    def loaded(path: Path) -> set[str]:
        """Modules imported at the top of a file; those inside functions or for type checkers load later."""
        found = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                package = path.relative_to(ROOT.parent).parent.parts
                base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
                home = ".".join(filter(None, (base, node.module)))
                found |= {f"{home}.{a.name}" if f"{home}.{a.name}" in names else home for a in node.names}
        return found & set(names)

    graph = {name: loaded(path) for name, path in names.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail[trail.index(name) :], name))
        if name in done or name not in graph:
            return
        for other in graph[name]:
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())
