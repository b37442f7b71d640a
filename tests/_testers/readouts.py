"""Readouts that were not trained, but whose values differ from place to place, in files as a fit leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.readout.site import PositionSite
from lit_coiba.bottlenecks.readout.trained_readout import Kind, ReadoutHeader, TrainedReadout
from lit_coiba.bottlenecks.readout.unit_site import UnitSite
from lit_coiba.bottlenecks.statistics import describe_preprocessing
from lit_coiba.core.frozen import frozen
from lit_coiba.training.coiba_readout import CoIBAReadout
from lit_coiba.training.iba_readout import IBAReadout
from tests._testers import tiny


def untrained(model: Backbone, kind: Kind = "coiba", **about: Any) -> TrainedReadout:
    """A readout of `model` with random weights and the statistics of random images."""
    training = (IBAReadout if kind == "iba" else CoIBAReadout)(model)
    layers = training._layers(training._method())
    statistics = tiny.statistics(model, layers)
    if kind == "iba":
        statistics = statistics.with_leak(None)
    found = training._describe(statistics)
    told = {name: getattr(found, name) for name in found.__struct_fields__}
    header = ReadoutHeader(**{**told, "kind": kind, **about})
    assert header.preprocessing == describe_preprocessing(model)
    with torch.random.fork_rng(devices=[]), frozen(model):
        torch.manual_seed(5)
        site = (UnitSite if kind == "iba" else PositionSite)(model, header, statistics)
        network = site.network(bound=False) if kind == "ranking" else site.network()
        last = [network.last] if kind == "iba" else [network.output, network.prefix_output]
        for linear in filter(None, last):
            torch.nn.init.normal_(linear.weight, std=1.0)
    return TrainedReadout(header, network.float().state_dict(), statistics)


KINDS: dict[str, Kind] = {"LearnedRanking": "ranking", "ReadoutCoIBA": "coiba", "ReadoutIBA": "iba"}  # by method


def saved(model: Backbone, folder: Path, kind: Kind = "coiba", **about: Any) -> str:
    """`untrained` in a file."""
    file = folder / f"{kind}_{model.digest()[:12]}.safetensors"
    untrained(model, kind, **about).save(file)
    return str(file)
