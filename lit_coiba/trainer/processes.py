"""The processes of a run that Lightning starts by itself, one for each device."""

from __future__ import annotations

import signal

import lightning
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from lit_coiba.trainer.termination import STATUS


def launch(trainer: lightning.Trainer) -> None:
    """Begin a distributed run now, not in the first `predict`: what is decided on files must be decided together.

    Processes that are spawned or forked live within `predict` only; between two of them there is nobody to wait for.
    """
    if isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        trainer.strategy.launcher.launch(trainer.strategy.setup_environment)


def terminate_children(trainer: lightning.Trainer) -> None:
    """Ask the processes to terminate that this one has started."""
    if isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        trainer.strategy.launcher.kill(signal.SIGTERM)


def exit_status(trainer: lightning.Trainer) -> int:
    """What this process ends with on SIGTERM: 143, but 0 where Lightning started it.

    On any other status of a child, Lightning ends the parent by SIGKILL, without a message.
    """
    launched = isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment)
    return 0 if launched and trainer.local_rank > 0 else STATUS
