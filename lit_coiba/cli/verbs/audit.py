"""The verb ``audit``: rules of what classes must not rest on, held against their concepts."""

from __future__ import annotations

from lit_coiba.cli import terminal
from lit_coiba.cli.parsing.quick_check import check_folders
from lit_coiba.cli.verb import FunctionVerb

BROKEN = 4  # exit status


def audit(run: str, rules: str, names: str | None = None, output: str | None = None) -> int:
    """Check that classes do not rest on concepts that they must not rest on, such as a watermark or the background.

    Each rule names a class and one of its concepts, what is measured (share: of the logit; importance: total Sobol
    index; deletion: what the logit loses without it), and how much of it is allowed. The command fails with status 4
    where a rule is broken, so that a script that trains models can stop there.

    Args:
        run: Folder that lit-coiba concepts wrote.
        rules: YAML or JSON file with a list of rules.
        names: File with names of concepts, class -> concept -> name, by which rules may call them; names.json in the
            run if left out.
        output: Markdown file to write; the table is printed either way.
    """
    check_folders([run])
    from lit_coiba.concepts import audit as auditing
    from lit_coiba.concepts.concept_names import names_of_run
    from lit_coiba.concepts.concept_run import ConceptRun
    from lit_coiba.files.atomic import atomically
    from lit_coiba.files.given_path import given_path
    from lit_coiba.files.owned import begins, check_own_file

    found = ConceptRun(given_path(run, "run"))
    file = None if output is None else given_path(output, "output")
    if file is not None:
        check_own_file(file, "output", begins("| | class | concept |"))
    given = auditing.read_rules(given_path(rules, "rules"))
    verdicts = auditing.audit(found, given, names_of_run(found, names))
    text = auditing.table(verdicts, found)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomically(file) as out:
            out.write(f"{text}\n".encode())
    terminal.page(text)
    return 0 if all(one.kept for one in verdicts) else BROKEN


AUDIT = FunctionVerb(
    name="audit",
    summary="check that classes do not rest on concepts that they must not rest on; fails where one does",
    position=64,
    function=audit,
    usage="audit RUN RULES [--names FILE] [--output FILE]",
    positional=("run", "rules"),
    examples="""\
  Rules, one on a line, in rules.yaml:
    - {class: leopard, concept: 3}                                     at most .05 of the logit
    - {class: leopard, concept: grass, measure: deletion, most: 0.5}   a concept that people gave a name
    - {class: horse, concept: 2, of: 7, most: 0.1}                     what looks like concept 2 of class 7
  Then, also in a script, which stops where the status is 4:
    lit-coiba audit runs/concepts rules.yaml --output audit.md""",
)
