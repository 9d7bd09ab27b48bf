"""Who may import whom, what the light entry points load, and that every exported name exists."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import nas

ROOT = Path(nas.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# The order of ARCHITECTURE.md, top first: a part may import those of later rows, and what EXTRA adds.
ORDER = (
    ("cli", "testing"),
    ("pipelines",),
    ("study", "reports", "cluster"),
    ("ledger",),
    ("evaluation", "proxies", "searchers", "supernets", "exporting"),
    ("training", "networks"),
    ("relaxation", "kernels", "data"),
    ("search_spaces",),
    ("task", "objectives"),
    ("files", "extras"),
    ("errors",),
)
EXTRA = {
    "cli": {"__init__"},
    "study": {"reports"},
    "ledger": {"__init__"},
    "evaluation": {"supernets", "proxies"},
    "exporting": {"supernets"},
    "task": {"objectives"},
}
ROW = {part: row for row, parts in enumerate(ORDER) for part in parts}
HEAVY = ("torch", "optuna", "pandas", "ray", "triton")


def module_of(path: Path) -> str:
    parts = ["nas", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def part_of(module: str) -> str:
    """ "nas.supernets.layers" -> "supernets"; the package itself is "__init__"."""
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path, *, for_types: bool = True) -> set[str]:
    """Every module that the file imports anywhere, lazily too and with `for_types` for types; ours at full depth."""
    out, tree = set[str](), ast.parse(path.read_text(encoding="utf-8"))
    typing_only = set[ast.AST]()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typing_only.update(child for statement in node.body for child in ast.walk(statement))
    for node in ast.walk(tree):
        if node in typing_only and not for_types:
            continue
        if isinstance(node, ast.Import):
            out.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports out in full"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                out.add(full if full in MODULES else str(node.module))
    return out


def allowed(part: str) -> set[str]:
    below = {name for name, row in ROW.items() if row > ROW[part]}
    return below | {part} | EXTRA.get(part, set())


@pytest.mark.parametrize("path", [p for p in FILES if p != ROOT / "__init__.py"], ids=module_of)
def test_imports_run_one_way(path: Path) -> None:
    part = part_of(module_of(path))
    assert part in ROW, f"{part} has no place in the import order: give it one in ARCHITECTURE.md and here"
    used = {part_of(name) for name in imports_of(path) if name.split(".")[0] == "nas"}
    assert used <= allowed(part), f"{part} may not import {sorted(used - allowed(part))}"


def test_the_order_would_catch_a_wrong_import() -> None:
    assert "supernets" not in allowed("searchers")
    assert "searchers" not in allowed("supernets")
    assert "supernets" not in allowed("proxies")
    assert "exporting" not in allowed("evaluation")
    assert allowed("evaluation") >= {"supernets", "training", "search_spaces", "errors"}
    assert allowed("errors") == {"errors"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = defaultdict[str, set[str]](set)
    for module, path in MODULES.items():
        if module != "nas":
            imported = imports_of(path, for_types=False) & MODULES.keys()
            graph[module] = imported - {module, "nas"}
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_search_spaces_need_numpy_only() -> None:
    for path in (ROOT / "search_spaces").rglob("*.py"):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert roots <= sys.stdlib_module_names | {"numpy", "nas"}, path


def test_only_modules_of_kernels_need_triton() -> None:
    """And they say so by their name, for whoever imports them only where it is installed."""
    for module, path in MODULES.items():
        if any(name.split(".")[0] == "triton" for name in imports_of(path)):
            assert module.startswith("nas.kernels."), module
            assert module.endswith("_triton"), module


def loaded_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running `code`."""
    report = "import sys; print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import nas",
        "import nas\nnas.search_spaces.get('mobilenet', task=nas.task.ImageClassification(8, 1, 10)).largest()",
        "from nas.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code",
        "from nas.cli import main\ntry:\n    main(['spaces'])\nexcept SystemExit as end:\n    assert not end.code",
    ],
    ids=["import nas", "search_spaces", "nas --help", "nas spaces"],
)
def test_light_entry_points_load_nothing_heavy(code: str) -> None:
    assert loaded_by(code).isdisjoint(HEAVY)


def test_loaded_by_sees_what_is_loaded() -> None:
    assert {"json", "decimal"} <= loaded_by("import json, decimal")


@pytest.mark.parametrize("module", sorted(name for name in MODULES if not name.endswith("__main__")))
def test_every_exported_name_exists(module: str) -> None:
    if "triton" in imports_of(MODULES[module]):
        pytest.importorskip("triton", reason="triton is not installed")
    imported = importlib.import_module(module)
    names = getattr(imported, "__all__", [])
    assert len(names) == len(set(names))
    missing = [name for name in names if not hasattr(imported, name)]
    assert not missing


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'studdy'"):
        nas.studdy  # noqa: B018


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    assert nas.__version__ == project["version"]
