"""Lines of `nas/` by folder at two revisions, from git alone.

python -m benchmarks.lines                    # before the one house, and now
python -m benchmarks.lines --before 5a46351 --after main
"""

from __future__ import annotations

import argparse
import subprocess
from collections import Counter

from benchmarks import rows

NAME = "lines"
PACKAGE = "nas"
BEFORE = "5a46351"  # the last commit of the old folders
ROOT = "(root)"


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=rows.RESULTS.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def folder_of(path: str) -> str:
    """The package's folder that a file is in: "supernets" for nas/supernets/rules/bignas.py."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ROOT


def lines(revision: str) -> tuple[Counter[str], Counter[str]]:
    """Lines and files of Python by folder."""
    counted, files = Counter[str](), Counter[str]()
    for path in git("ls-tree", "-r", "--name-only", revision, "--", PACKAGE).splitlines():
        if path.endswith(".py"):
            counted[folder_of(path)] += len(git("show", f"{revision}:{path}").splitlines())
            files[folder_of(path)] += 1
    return counted, files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=BEFORE)
    parser.add_argument("--after", default="HEAD")
    options = parser.parse_args()
    before, after = options.before, options.after
    (old, old_files), (new, new_files) = lines(before), lines(after)
    key = {
        "before": git("rev-parse", "--short", before).strip(),
        "after": git("rev-parse", "--short", after).strip(),
    }
    for folder in [*sorted(old.keys() | new.keys()), "all"]:
        values = {
            "lines_before": old.total() if folder == "all" else old[folder],
            "lines_after": new.total() if folder == "all" else new[folder],
            "files_before": old_files.total() if folder == "all" else old_files[folder],
            "files_after": new_files.total() if folder == "all" else new_files[folder],
        }
        rows.append(NAME, key | {"folder": folder}, values)
        print(f"{folder:16} {values['lines_before']:6} -> {values['lines_after']:6}")


if __name__ == "__main__":
    main()
