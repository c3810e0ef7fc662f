"""`make prove-judgement`: measure the error rates of the judgement and write them down.

Writes `proofs/judgement.json` and `proofs/judgement.md` (the README's table) into the state folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.judgement import drift, estimates, promotion, report
from benchmarks.judgement.histories import Histories, Plan
from benchmarks.judgement.scratch import Scratch
from models_ml.provenance import code_commit
from warehouse.home import home

SEED = 20_171
SIZES: dict[str, dict[str, Any]] = {
    # histories of A/A, of each other A/A, of each planted gain; windows without drift (rows of
    # the reference, rows of a window, windows), and windows of each planted shift
    "full": {
        "a_a": 1_000,
        "others": 500,
        "power": 200,
        "quiet": [
            (9_000, 100, 400),
            (1_000, 100, 400),  # the size up to which Evidently tests instead of measuring
            (9_000, 1_000, 400),
            (1_000_000, 100_000, 40),
        ],
        "shifted": 40,
    },
    "small": {
        "a_a": 60,
        "others": 20,
        "power": 10,
        "quiet": [(9_000, 100, 40), (9_000, 1_000, 20)],
        "shifted": 5,
    },
}
GAINS = (0.02, 0.04, 0.08)
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class _Progress:
    """One line per chunk of work: what, how far, how long."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    def __call__(self, name: str, done: int, of: int) -> None:
        elapsed = timedelta(seconds=round(time.perf_counter() - self.started))
        console.print(f"{elapsed}  {name}: {done} of {of}")


def prove(size: str, with_peers: bool, state: Path, folder: Path) -> dict[str, Any]:
    """Measure everything at a size and return what `judgement.json` holds.

    Parameters
    ----------
    size : {'full', 'small'}
    with_peers : bool
        Also let Evidently and NannyML judge the windows, in an environment made for it.
    state : Path
        State folder of a finished replay, read only: there estimates stand beside what came true.
    folder : Path
        Where scratch files go.
    """
    wanted, progress = SIZES[size], _Progress()
    scratch = Scratch(folder / "scratch")
    histories = Histories(scratch)
    planned = Plan(rules=promotion.PLANNED)

    def a_a(plan: Plan, count: int, seed: int) -> dict[str, Any]:
        return promotion.a_a(histories, plan, count, SEED + seed, progress)

    found: dict[str, Any] = {
        "size": size,
        "seed": SEED,
        "code_commit": code_commit(),
        "a_a": a_a(planned, wanted["a_a"], 0),
        "a_a_others": {
            "no effects in common": a_a(
                Plan(rules=promotion.PLANNED, unit_share=0, day_share=0), wanted["others"], 1
            ),
            "effects of units only": a_a(
                Plan(rules=promotion.PLANNED, unit_share=2, day_share=0), wanted["others"], 2
            ),
            "effects of days only": a_a(
                Plan(rules=promotion.PLANNED, unit_share=0, day_share=2), wanted["others"], 3
            ),
            "outcomes of four windows overlap": a_a(
                Plan(rules=promotion.PLANNED, windows=14, outcome_days=4), wanted["others"], 6
            ),
            "looks of unknown number": a_a(
                Plan(rules=promotion.UNPLANNED, windows=30), wanted["others"], 4
            ),
            "binary, with the policy as shipped": a_a(
                Plan(like="household_churn", windows=10, outcome_days=4), wanted["others"], 5
            ),
        },
    }
    found["power"] = [
        promotion.power(
            histories,
            Plan(rules=promotion.PLANNED, gain=sign * gain, is_promoted=is_promoted),
            wanted["power"],
            SEED + 10,
            progress,
        )
        for sign, is_promoted in ((1, False), (-1, False), (-1, True))
        for gain in GAINS
    ]
    found["drift"] = _drift(scratch, wanted, with_peers, folder, progress)
    found["estimates"] = estimates.measure(scratch, state, progress)
    found["seconds"] = round(time.perf_counter() - progress.started, 1)
    found["claims"] = report.claims(found)
    return found


def _drift(
    scratch: Scratch, wanted: dict[str, Any], with_peers: bool, folder: Path, progress: _Progress
) -> dict[str, Any]:
    peers = folder / "peers"
    shutil.rmtree(peers, ignore_errors=True)
    windows = drift.Windows(scratch, peers if with_peers else None)
    cases: list[tuple[int, int, int, str | None]] = [
        (reference, rows, count, None) for reference, rows, count in wanted["quiet"]
    ]
    cases += [(drift.REFERENCE_ROWS, 1_000, wanted["shifted"], shift) for shift in drift.SHIFTS]
    found = []
    for number, (reference, rows, count, shift) in enumerate(cases):
        progress(f"drift: {rows} rows, {shift or 'none'}", number, len(cases))
        found.append(drift.rates(windows, rows, count, SEED, reference_rows=reference, shift=shift))
    ours = drift.agreement(windows, SEED)
    judged: dict[str, Any] = {}
    if with_peers:
        progress("drift: Evidently and NannyML", 0, 1)
        requirements = Path(__file__).with_name("peers.txt")
        judged = drift.ask_peers(peers, folder / "peers_environment", requirements)
        for case in found:
            case["peers"] = drift.peer_shares(judged[case["case"]], case["shift"])
    return {"rates": found, "agreement": drift.largest_differences(ours, judged.get("bins"))}


@click.command()
@click.option("--size", type=click.Choice(list(SIZES)), default="full", show_default=True)
@click.option("--peers/--no-peers", default=True, help="Also run Evidently and NannyML.")
def main(size: str, peers: bool) -> None:
    """Prove the judgement: A/A, power, drift and estimates, through the real decision SQL."""
    state = home()
    proofs = state / "proofs"
    proofs.mkdir(parents=True, exist_ok=True)
    found = prove(size, peers, state, proofs / "work")
    (proofs / "judgement.json").write_text(json.dumps(found, indent=2) + "\n")
    (proofs / "judgement.md").write_text(report.table(found))
    console.print(report.table(found), soft_wrap=True, markup=False)
    console.print(f"written: {proofs / 'judgement.json'}, {found['seconds']:.0f} s")
    broken = [claim for claim in found["claims"] if not claim["holds"]]
    console.print(f"{len(found['claims']) - len(broken)} of {len(found['claims'])} claims hold")
    for claim in broken:
        console.print(f"does not hold: {claim}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
