"""What installing takes: seconds, packages and bytes of a fresh environment, for one checkout or several.

Each checkout is copied, so that nothing is built inside it, and installed into a new environment without pip's cache;
torch is held by the checkout's constraints.txt. Seconds include the download and depend on what else runs
(`load_average`, of the last five minutes), so measure sides in one call; `largest` names the biggest folders.

    python -m benchmarks.installation before=../before after=.
    python -m benchmarks.installation after=. --extras all
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.checkouts import Checkout, checkout

NAME = "installation"
SHIPPED = ("nas", "pyproject.toml", "README.md", "LICENSE", "constraints.txt")  # what an installation reads
SHOWN = 8


def copied(of: Checkout, folder: Path) -> Path:
    """The part of a checkout that is installed."""
    for name in SHIPPED:
        source = of.path / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def measured(of: Checkout, extras: str) -> dict[str, Any]:
    """A fresh environment with the package."""
    with tempfile.TemporaryDirectory(prefix="installation-") as name:
        folder = Path(name)
        source = copied(of, _made(folder / "source"))
        environment, env = folder / "environment", {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, env=env)
        (packages,) = (environment / "lib").glob("python*/site-packages")
        pip, before = [str(environment / "bin" / "python"), "-m", "pip"], size(packages)
        what = str(source) + (f"[{extras}]" if extras else "")
        words = ["install", "--quiet", "--no-cache-dir", "--constraint", str(source / "constraints.txt"), what]
        began = time.perf_counter()
        subprocess.run([*pip, *words], check=True, env=env, cwd=folder, stdout=sys.stderr)
        seconds = time.perf_counter() - began
        listed = subprocess.run([*pip, "list", "--format", "json"], check=True, env=env, capture_output=True, text=True)
        names = {package["name"] for package in json.loads(listed.stdout)} - {"pip", "setuptools"}
        inside = {path.name: size(path) for path in packages.iterdir() if path.name not in ("pip", "setuptools")}
        most = sorted(inside.items(), key=lambda entry: -entry[1])[:SHOWN]
        return {
            "wall_s": seconds, "packages": len(names), "bytes": size(packages) - before, "largest": dict(most),
            "load_average": os.getloadavg()[1],
        }  # fmt: skip


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="+", metavar="LABEL=DIR")
    parser.add_argument("--extras", default="", help="with commas between; default: the base installation")
    options = parser.parse_args()
    for word in options.checkouts:
        label, _, path = word.partition("=")
        of = checkout(Path(path))
        found = measured(of, options.extras)
        key = {"label": label, "extras": options.extras, "installed": of.commit(), "installed_code": of.code()}
        rows.append(NAME, key, found)
        print(label, {name: value for name, value in found.items() if name != "largest"}, found["largest"], flush=True)


if __name__ == "__main__":
    main()
