"""Trainings that a benchmark can be stopped between: what is trained and scored already is not done again."""

import hashlib
import json
import shutil
import statistics
import time
from pathlib import Path

from avadclip import paths
from avadclip.config import Params
from avadclip.config.variants import Variant
from avadclip.graph.code import fingerprint, kind_module
from benchmarks import zoo_page
from pipeline import distill, score, train

STAMP = "trained.json"  # beside a checkpoint: a hash of what it was made from, and the time of its training


def train_and_score(dataset: str, variant: str, seed: int, params: Params) -> str:
    """Train and score unless that was done before; say how long the training took."""
    run, identity = paths.run(dataset, variant, seed), identity_of(dataset, variant, params)
    stamp = run / STAMP
    if stamp.exists() and json.loads(stamp.read_text())["identity"] == identity:
        return "done before"
    shutil.rmtree(run, ignore_errors=True)  # resuming half a training would take half the time
    before = time.process_time()  # of all threads
    (train if variant in params.train else distill).main(dataset, variant, str(seed))
    seconds = time.process_time() - before
    score.main(dataset, variant, str(seed))
    stamp.write_text(json.dumps({"identity": identity, "processor_seconds": seconds}))
    return f"{seconds:.0f} s of processors"


def processor_seconds(dataset: str, variant: str, params: Params) -> float:
    """Return the mean over the seeds."""
    stamps = [paths.run(dataset, variant, seed) / STAMP for seed in params.seeds]
    return statistics.fmean(json.loads(stamp.read_text())["processor_seconds"] for stamp in stamps)


def identity_of(dataset: str, variant: str, params: Params) -> str:
    """Return a hash of the videos, and of the settings and the code of a variant and its teacher if it has one."""
    names = [variant, *([params.teacher] if variant in params.distill else [])]
    sections = [section for name in names if isinstance(section := params.variant(name), Variant)]
    modules = [kind_module(section.kind) for section in sections]
    code = fingerprint([Path(train.__file__), *(module for module in modules if module is not None)])
    facts = [
        code,
        paths.manifest(dataset).read_text(encoding="utf-8"),
        *(zoo_page.settings_digest(section, dataset) for section in sections),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
