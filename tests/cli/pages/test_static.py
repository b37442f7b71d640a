"""Help and lists that are made beforehand: what they say is what the code says, and PyTorch is not imported for it."""

import subprocess
import sys

import pytest

from lit_coiba import attribution
from lit_coiba.cli import main
from lit_coiba.cli.pages import method_cards, metric_cards, static
from lit_coiba.cli.pages.trainer_help import help_page
from lit_coiba.cli.verb import TrainerVerb
from lit_coiba.cli.verbs import all_verbs
from lit_coiba.core.lazy import _files

VERBS = {name: verb for name, verb in all_verbs().items() if isinstance(verb, TrainerVerb)}
NEW = """
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card

class NewMethod(AttributionMethod):
    card = Card("Nobody, 1999", "2 forwards")

    def _explain(self, model, images, targets):
        return Explanation(images.mean(1), {})
"""


def test_the_file_is_what_the_code_says():
    assert static.static() == static.made(), "run python -m lit_coiba.cli.pages.static"


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("verb", VERBS)
def test_a_help_page_is_that_of_the_classes(verb, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([verb, "--help"]) == 0
    assert capsys.readouterr().out == f"{help_page(VERBS[verb])}\n"


@pytest.mark.parametrize("width", [40, 120, 200])
def test_a_list_is_that_of_the_classes(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    for verb, cards in (("methods", method_cards), ("metrics", metric_cards)):
        assert main([verb]) == 0
        assert capsys.readouterr().out.startswith(f"{cards.listing(cards.pages())}\n")


@pytest.mark.parametrize("words", ["methods", "metrics", "explain --help", "fit -h"])
def test_nothing_heavy_is_imported_for_it(words):
    said = (
        "import sys; from lit_coiba.cli import main; main(sys.argv[1:]); print({*sys.modules} & {'torch', 'lightning'})"
    )
    run = subprocess.run([sys.executable, "-c", said, *words.split()], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("\nset()\n")
    assert len(run.stdout) > 1000


def test_a_new_class_of_the_package_is_shown_at_once(tmp_path, monkeypatch, capsys):
    (tmp_path / "new_method.py").write_text(NEW)
    with monkeypatch.context() as patch:
        patch.setattr(attribution, "__path__", [*attribution.__path__, str(tmp_path)])
        static.static.cache_clear()
        _files.cache_clear()
        assert main(["methods"]) == 0
        assert "NewMethod" in (told := capsys.readouterr().out)
        assert "Nobody, 1999" in told
        assert main(["explain", "--help"]) == 0
        assert "NewMethod" in capsys.readouterr().out
    static.static.cache_clear()
    _files.cache_clear()
