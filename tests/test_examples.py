"""What examples/ says can be done can be done."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from nas.cli.main import app, check_names

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
BLOCKS = re.findall(r"```\n(.*?)```", (EXAMPLES / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]
JOBS = [line for line in LINES if line.startswith("ray job submit")]


def test_the_cluster_file_is_what_ray_reads() -> None:
    ray = pytest.importorskip("ray", reason="the cluster file is Ray's")
    jsonschema, yaml = pytest.importorskip("jsonschema"), pytest.importorskip("yaml")
    from ray.scripts.scripts import start

    cluster = yaml.safe_load((EXAMPLES / "cluster.yaml").read_text(encoding="utf-8"))
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(cluster, schema)
    assert cluster["provider"].keys() == {"type", "head_ip", "worker_ips"}
    assert cluster["provider"]["type"] == "local"
    commands = [c for key in ("head", "worker") for c in cluster[f"{key}_start_ray_commands"]]
    assert ["ray stop" in c for c in commands] == [True, False] * 2
    assert ["ray start" in c for c in commands] == [False, True] * 2
    for command in commands[1::2]:
        start.make_context("start", shlex.split(command)[3:])  # raises on an option that is not Ray's


@pytest.mark.parametrize("line", JOBS)
def test_every_job_parses(line: str) -> None:
    pytest.importorskip("ray", reason="jobs are Ray's")
    from ray.dashboard.modules.job.cli import submit

    words = shlex.split(line)[3:]
    job = submit.make_context("submit", list(words))
    assert job.params["address"]
    assert Path(job.params["working_dir"]) == Path(".")
    _, name, *rest = words[words.index("--") + 1 :]
    assert list(job.params["entrypoint"])[1:] == [name, *rest]
    group = typer.main.get_group(app)
    check_names(group, [name, *rest])
    context = group.commands[name].make_context(f"nas {name}", rest)
    assert context.params["ray"] == "auto"


def test_there_are_jobs_to_check() -> None:
    assert len(JOBS) == 2
    assert "--resume" in JOBS[1]


def test_every_linked_file_exists() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")):
        assert (EXAMPLES / link).exists()
