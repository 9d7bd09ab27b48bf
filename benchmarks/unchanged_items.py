"""What `benchmarks.unchanged` records: small jobs of the command line, each as a JSON document without times.

Nothing here imports `nas`: jobs run in processes with a checkout's code, and are read from `--json` and from the files
that runs leave. Floats are hexadecimal, tensors are SHA-256 digests, so that equal documents mean equal bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages.journal import JournalFileBackend
from PIL import Image

from benchmarks.checkouts import Checkout

Document = dict[str, Any]

DIGITS = ("--space", "mobilenet", "--data", "digits")
SHORT = ("--epochs", "2", "--train-images", "640")
CLASSES, EACH, SIDE = 3, 80, 32  # of the images that are made here
LOGITS = """
import json, sys, numpy as np, torch
kind, path, images = sys.argv[1:]
x = torch.from_numpy(np.load(images))
if kind == "onnx":
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    run = lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0])
elif kind == "pt2":
    run = torch.export.load(path).module()
else:
    import nas
    run = nas.load(path)
with torch.no_grad():
    print(json.dumps([[value.hex() for value in row] for n in (1, len(x)) for row in run(x[:n]).double().tolist()]))
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """A checkout and a folder to work in; jobs that others need are run once.

    Args:
        checkout: Whose code runs.
        folder: Empty at first.
    """

    checkout: Checkout
    folder: Path

    def nas(self, *words: str | Path) -> Document:
        """One command's JSON document."""
        return self.checkout.nas(*words, cwd=self.folder)

    def supernet(self) -> str:
        """The folder of a supernet of digits, trained once."""
        if not (self.folder / "supernet").exists():
            self.nas("train", *DIGITS, "--rule", "sandwich", *SHORT, "--out", "supernet")
        return "supernet"

    def images(self) -> Path:
        """Colour images of three classes, in folders and in one .npz file, the same on every machine."""
        made = self.folder / "images"
        if made.exists():
            return made
        rng = np.random.default_rng(0)
        means = rng.integers(60, 196, size=(CLASSES, 3))
        x = np.clip(rng.normal(means[:, None, None, None, :], 40, size=(CLASSES, EACH, SIDE, SIDE, 3)), 0, 255)
        x = x.astype(np.uint8)
        for label in range(CLASSES):
            (made / "folders" / f"class{label}").mkdir(parents=True)
            for i in range(EACH):
                Image.fromarray(x[label, i]).save(made / "folders" / f"class{label}" / f"{i:03}.png")
        y = np.repeat(np.arange(CLASSES), EACH)
        np.savez(made / "images.npz", x=x.reshape(-1, SIDE, SIDE, 3), y=y)
        return made


def exact(metrics: Mapping[str, float]) -> dict[str, str]:
    """Every number to the last bit."""
    return {name: float(value).hex() for name, value in sorted(metrics.items())}


def tensors(file: Path) -> dict[str, str]:
    """A digest of name, type, shape and bytes of each tensor in a .safetensors file."""
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    found = {}
    for name, entry in sorted(header.items()):
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        text = json.dumps([name, entry["dtype"], entry["shape"]])
        found[name] = hashlib.sha256(text.encode() + raw[8 + size + start : 8 + size + end]).hexdigest()
    return found


def trials(folder: Path) -> list[Document]:
    """The trials of a run's ledger in the order in which they were recorded, which is that of asking."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    (study,) = storage.get_all_studies()
    found = sorted(storage.get_all_trials(study._study_id, deepcopy=False), key=lambda trial: trial.number)
    return [
        {
            "genes": trial.user_attrs["arch"]["genes"],
            "metrics": exact(trial.user_attrs["metrics"]),
            "batch": trial.user_attrs["batch"],
            "failed": "error" in trial.user_attrs,
        }
        for trial in found
    ]


def member(document: Mapping[str, Any]) -> Document:
    """One architecture of a document with its metrics."""
    return {"genes": document["arch"]["genes"], "metrics": exact(document["metrics"])}


def searched(bench: Bench, out: str, *words: str | Path) -> Document:
    """A search: its trials, its front with test metrics, its best and its knee."""
    document = bench.nas("search", *words, "--out", out)
    return {
        "trials": trials(bench.folder / out),
        "front": [member(each) for each in document["front"]],
        "best": member(document["best"]),
        "knee": member(document["knee"]),
        "digests": [each["digest"] for each in document["front"]],
    }


def main_job(bench: Bench) -> Document:
    return searched(bench, "main", *DIGITS, "--epochs", "3", "--trials", "96")


def proxy_search(bench: Bench) -> Document:
    goals = ("--objective", "gradsign", "--objective", "min:params")
    data = ("--space", "nasbench201", "--data", "digits", "--proxy-images", "32")
    return searched(bench, "by_proxies", *data, *goals, "--trials", "24", "--batch", "8")


def on_table(searcher: str, *more: str) -> Callable[[Bench], Document]:
    def job(bench: Bench) -> Document:
        words = ("--space", "nasbench201", "--table", "nas/nb201_full.csv.xz", "--searcher", searcher)
        return searched(bench, f"table_{searcher}{len(more)}", *words, *more)

    return job


def on_supernet(searcher: str, *more: str, name: str | None = None) -> Callable[[Bench], Document]:
    def job(bench: Bench) -> Document:
        words = ("--supernet", bench.supernet(), "--searcher", searcher, "--trials", "96", "--batch", "24")
        return searched(bench, name or searcher, *words, *more)

    return job


def training(*words: str, data: str = "digits") -> Callable[[Bench], Document]:
    """A short training of a supernet; `data` may be "npz" or "folder" for images that are made here."""

    def job(bench: Bench) -> Document:
        place = {"npz": "npz:images/images.npz", "folder": "folder:images/folders"}.get(data, data)
        if place != data:
            bench.images()
        out = f"trained_{data}_{'_'.join(words)}".replace("-", "")
        bench.nas("train", "--space", "mobilenet", "--data", place, *words, "--out", out)
        return {"tensors": tensors(bench.folder / out / "supernet" / "supernet.safetensors")}

    return job


def exports(bench: Bench) -> Document:
    """One architecture in every format, and the logits of fixed inputs."""
    images, found = bench.folder / "inputs.npy", Document()
    np.save(images, np.random.default_rng(0).random((7, 1, 8, 8), dtype=np.float32))
    for kind in ("safetensors", "pt2", "onnx"):
        out = bench.folder / ("exported" if kind == "safetensors" else f"exported.{kind}")
        done = bench.nas("export", bench.supernet(), "--arch", "largest", "--format", kind, "--out", out)
        package = kind == "safetensors"
        printed = bench.checkout.python("-c", LOGITS, kind, out, images, cwd=bench.folder, package=package)
        found[kind] = {"logits": json.loads(printed.splitlines()[-1]), "metrics": exact(done["metrics"])}
        if package:
            found["tensors"] = tensors(out / "model.safetensors")
    return found


def finetuned(bench: Bench) -> Document:
    words = ("--arch", "smallest", "--epochs", "2", "--out", "finetuned")
    document = bench.nas("finetune", bench.supernet(), *words)
    kept = tensors(bench.folder / "finetuned" / "model.safetensors")
    return {"before": {"metrics": exact(document["before"])}, "after": member(document), "tensors": kept}


def evaluated(bench: Bench) -> Document:
    return {
        which: member(bench.nas("evaluate", bench.supernet(), "--arch", which)) for which in ("largest", "smallest")
    }


def scored(*words: str) -> Callable[[Bench], Document]:
    def job(bench: Bench) -> Document:
        out = f"scores_{words[1]}"
        bench.nas("proxies", *words, "--out", out)
        lines = (bench.folder / out / "scores.jsonl").read_text().splitlines()
        networks = []
        for line in map(json.loads, lines):
            known = {name: float("nan") if value is None else value for name, value in line["scores"].items()}
            networks.append({"genes": line["arch"]["genes"], "metrics": exact(known)})
        return {"networks": networks}

    return job


PARETO = ("--objective", "accuracy", "--objective", "min:macs", "--objective", "min:params")
TEXT = ("--space", "flexibert", "--data", "text:text/wikitext2_test.txt")
ITEMS: dict[str, Callable[[Bench], Document]] = {
    "search: main job on digits": main_job,
    "search: nasbench201 by proxies": proxy_search,
    "search: table, nsga2": on_table("nsga2", "--trials", "200"),
    "search: table, random": on_table("random", "--trials", "100"),
    "search: table, local": on_table("local", "--trials", "100", "--objective", "accuracy"),
    "search: supernet, evolution": on_supernet("evolution", "--objective", "accuracy"),
    "search: supernet, nsga2": on_supernet("nsga2", *PARETO),
    "search: supernet, tpe": on_supernet("tpe", "--objective", "accuracy"),
    "search: supernet, evolution assisted by synflow": on_supernet(
        "evolution", "--objective", "accuracy", "--trials", "48", "--assist", "synflow", name="assisted"
    ),
    "search: supernet, coarse_to_fine": on_supernet("coarse_to_fine", "--objective", "accuracy"),
    "search: supernet, nsga2, racing": on_supernet("nsga2", "--racing", name="racing"),
    "search: supernet, nsga2, two workers": on_supernet("nsga2", "--workers", "2", name="workers"),
    "search: budget on macs, evolution": on_supernet(
        "evolution", "--objective", "accuracy", "--constraint", "macs<=3e5", name="budget"
    ),
    "training: sandwich": training("--rule", "sandwich", *SHORT),
    "training: bignas": training("--rule", "bignas", *SHORT),
    "training: ofa": training("--rule", "ofa", *SHORT),
    "training: single_path": training("--rule", "single_path", *SHORT),
    "training: sandwich, colour images in npz": training("--rule", "sandwich", "--epochs", "1", data="npz"),
    "training: single_path, colour images in folders": training(
        "--rule", "single_path", "--epochs", "2", data="folder"
    ),
    "training: preset bignas": training(
        "--preset", "bignas", "--rule", "bignas", "--epochs", "1", "--train-images", "128"
    ),
    "exports": exports,
    "finetune": finetuned,
    "evaluate": evaluated,
    "proxies: nasbench201": scored(
        "--space", "nasbench201", "--data", "digits", "--proxies", "all", "--sample", "4", "--images", "16"
    ),
    "proxies: flexibert": scored(*TEXT, "--sample", "3", "--images", "8"),
}  # fmt: skip
