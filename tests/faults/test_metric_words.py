"""Words about metrics of a benchmark: what is said where a key comes without its class."""

from lit_coiba.cli import main


def test_a_key_of_a_metric_without_its_class(capsys, tmp_path, monkeypatch):
    """`--model.metrics.insertion.steps 2` alone: "class 2 does not exist; give its path"."""
    monkeypatch.chdir(tmp_path)
    words = ["benchmark", "--model.backbone.name", "resnet18", "--data.root", ".", "--stores", "s", "--output", "b"]
    assert main([*words, "--model.metrics.insertion.steps", "2"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.endswith(
        "model.metrics.insertion has no class yet: give --model.metrics.insertion CLASS before its keys "
        "(lit-coiba metrics lists the classes)"
    )
