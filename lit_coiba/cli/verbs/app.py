"""The verb ``app``: a page in the browser that explains pictures as they come."""

from __future__ import annotations

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import CHECKPOINT, FunctionVerb


def app(
    models: list[str],
    methods: list[str] | None = None,
    prototypes: str | None = None,
    concepts: list[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
) -> int:
    """Serve a page in the browser: drop a picture, see what models take it for and why, until Ctrl-C.

    The page shows the most probable classes, maps of the chosen class by several methods, the decision of an
    interpretable head, and concepts. Pictures stay on this machine. Needs gradio: pip install 'lit-coiba[app]'.

    Args:
        models: Files of lit-coiba fit, shipped models, timm models as NAME=FILE, or configurations, FILE.yaml.
        methods: Methods to choose from, by short words with arguments, such as grad_cam rise:n_samples=1000; those of
            some seconds if left out. A bottleneck takes its statistics: coiba_fast:statistics=FILE.
        prototypes: Folder that lit-coiba prototypes wrote for the model, to show decisions with training patches.
        concepts: Files or folders of concepts of the models.
        host: Address to listen at. Others than 127.0.0.1 let other machines in, without a password.
        port: TCP port; 0 = the first free one from 7860 on.
    """
    from lit_coiba.app.live_explainer import CHEAP, LiveExplainer
    from lit_coiba.app.models import models_of
    from lit_coiba.app.page import launch

    explainer = LiveExplainer(models_of(models), methods or CHEAP, prototypes, concepts or ())
    page, address = launch(explainer, host, port, wait=False)
    terminal.say(f"Serving {address} (Ctrl-C stops it)")
    page.block_thread()
    return 0


APP = FunctionVerb(
    name="app",
    summary="serve a page in the browser that explains pictures as they are dropped into it",
    position=68,
    function=app,
    usage="app MODEL [MODEL ...] [--methods WORD ...] [--prototypes DIR] [--concepts FILE ...] [--port PORT]",
    positional=("models",),
    examples=f"""\
  A shipped model, a model of yours, and two to choose from:
    lit-coiba app synthetic_parts_cnn
    lit-coiba app {CHECKPOINT}
    lit-coiba app resnet50=weights.safetensors vit.yaml --methods grad_cam rise:n_samples=1000
  With the decisions of an interpretable head, and with concepts:
    lit-coiba app infodisent_synthetic_parts --prototypes runs/prototypes --concepts concepts.safetensors
  From another machine, over ssh:
    ssh -L 7860:127.0.0.1:7860 MACHINE lit-coiba app synthetic_parts_cnn""",
)
