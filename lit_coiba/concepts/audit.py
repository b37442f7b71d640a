"""Rules of what a class must not rest on, held against the concepts that were found of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import torch
import yaml
from torch.nn.functional import cosine_similarity

from lit_coiba.concepts.class_report import ClassReport
from lit_coiba.concepts.concept_names import Names
from lit_coiba.concepts.concept_run import ConceptRun
from lit_coiba.core.errors import InputError
from lit_coiba.core.near_names import near_names
from lit_coiba.core.printable import counted, listed, printable
from lit_coiba.files.json_text import typed
from lit_coiba.files.regular import clause, read_text
from lit_coiba.files.yaml_text import check_yaml

Measure = Literal["share", "importance", "deletion"]
_MEASURES = {"share": "share of the logit", "importance": "importance", "deletion": "lost logit"}


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"cls": "class"}):
    """A class must not rest on a concept."""

    cls: int | str  # number or name of the class
    concept: int | str  # number of the concept, or the name that people gave it
    of: int | str | None = None  # class whose concept it is, if not of this one: all concepts near to it are meant
    measure: Measure = "share"  # share of the logit, total Sobol index, or what deletion costs of the logit
    most: float = 0.05  # what is allowed of it
    cosine: float = 0.8  # of concepts that are near


class Verdict(NamedTuple):
    """What became of a rule."""

    rule: Rule
    cls: int
    concepts: tuple[int, ...]  # of the class that are meant
    value: float  # the sum over these
    low: float | None  # ends of the 95% interval, for deletion by a single concept; None = a single image too
    high: float | None
    kept: bool


def read_rules(file: Path) -> list[Rule]:
    """The rules in a YAML or JSON file.

    Raises:
        InputError: It cannot be read, or has something else in it.
    """
    where = f"rules: {printable(file, 200)}"
    try:
        check_yaml(text := read_text(file, "rules"), where)
        told: Any = yaml.safe_load(text)
        rules: list[Rule] = typed(told, list[Rule])
    except (OSError, ValueError, yaml.YAMLError) as error:
        if isinstance(error, InputError):
            raise
        reason = clause(error) if isinstance(error, OSError) else printable(" ".join(str(error).split()), 200)
        remedy = "write - {class: leopard, concept: 3, most: 0.05}"
        raise InputError(f"{where} is no list of rules ({reason}): {remedy}") from error
    if not rules:
        raise InputError(f"{where} has no rule: write at least one, such as - {{class: leopard, concept: 3}}")
    return rules


def audit(run: ConceptRun, rules: Sequence[Rule], names: Names) -> list[Verdict]:
    """Hold a concept run against rules; all of them are looked up before any is judged.

    Args:
        run: The concepts.
        rules: The rules.
        names: Names of concepts: class -> concept -> name.

    Raises:
        InputError: A rule has a class or a concept that does not exist.
    """
    meant = [_meant(run, rule, number, names) for number, rule in enumerate(rules, 1)]
    return [_judged(run, rule, *found) for rule, found in zip(rules, meant)]


def table(verdicts: Sequence[Verdict], run: ConceptRun) -> str:
    """The verdicts in Markdown, broken rules first."""
    lines = ["| | class | concept | measure | found | allowed |", "|---|---|---|---|--:|--:|"]
    for one in sorted(verdicts, key=lambda verdict: verdict.kept):
        name = printable(run.report(one.cls).name, 60).replace("|", "\\|")
        named = printable(one.rule.concept, 60).replace("|", "\\|")
        found = f"{one.value:.3f}" + (f" [{one.low:.3f}, {one.high:.3f}]" if one.low is not None else "")
        near = "" if one.rule.of is None else f" of {printable(one.rule.of, 40)}: {_list(one.concepts)}"
        mark = "kept" if one.kept else "**broken**"
        measured = f"{_MEASURES[one.rule.measure]} | {found} | {one.rule.most:g}"
        lines.append(f"| {mark} | {one.cls} {name} | {named}{near} | {measured} |")
    broken = sum(not one.kept for one in verdicts)
    return "\n".join([*lines, "", f"{broken} of {counted(len(verdicts), 'rule')} broken"])


def _list(concepts: Sequence[int]) -> str:
    return " and ".join(map(str, concepts)) if concepts else "none is near"


def _meant(run: ConceptRun, rule: Rule, number: int, names: Names) -> tuple[ClassReport, tuple[int, ...]]:
    """The class of a rule, and those of its concepts that are meant."""
    report = _class(run, rule.cls, number)
    if rule.of is None:
        return report, (_concept(report, rule.concept, number, names),)
    other = _class(run, rule.of, number)
    direction = run.concepts(other.cls).dictionary[_concept(other, rule.concept, number, names)]
    if other.layer != report.layer or not report.concepts:
        return report, ()
    cosines = cosine_similarity(run.concepts(report.cls).dictionary, direction[None])
    return report, tuple(torch.nonzero(cosines >= rule.cosine).flatten().tolist())


def _class(run: ConceptRun, given: int | str, number: int) -> ClassReport:
    """The class that is given by number or name.

    Raises:
        InputError: There is none.
    """
    known = run.class_names
    cls = given if isinstance(given, int) else known.index(given) if known.count(given) == 1 else None
    if cls is None or cls not in run.classes:
        several = isinstance(given, str) and known.count(given) > 1
        why = "is the name of several classes" if several else "is no class of the run"
        classes = [f"{one} {known[one]}" if one < len(known) else str(one) for one in run.classes]
        near = near_names(str(given), [known[one] for one in run.classes if one < len(known)])
        meant = f"did you mean {printable(' or '.join(near), 200)}? Else " if near and not several else ""
        raise InputError(
            f"rules: class {printable(given, 80)} in rule {number} {why}: {meant}give the number of one of its classes"
            f" ({printable(listed(classes), 300)})"
        )
    return run.report(cls)


def _concept(report: ClassReport, given: int | str, number: int, names: Names) -> int:
    """The concept of a class that is given by number or name.

    Raises:
        InputError: There is none.
    """
    own = names.get(report.cls, {})
    named = [concept for concept, name in own.items() if name == given]
    concept = given if isinstance(given, int) else named[0] if len(named) == 1 else -1
    if not 0 <= concept < len(report.concepts):
        known = f"0 to {len(report.concepts) - 1}" if report.concepts else "it has none"
        told = f", or {', '.join(sorted(printable(name, 40) for name in own.values())[:8])}" if own else ""
        raise InputError(
            f"rules: concept {printable(given, 80)} in rule {number} is none of class {report.cls}: give a number"
            f" ({known}){told}"
        )
    return concept


def _judged(run: ConceptRun, rule: Rule, report: ClassReport, concepts: tuple[int, ...]) -> Verdict:
    chosen = [report.concepts[number] for number in concepts]
    low = high = None
    if rule.measure == "deletion":
        value = -sum(one.deletion.mean for one in chosen)
        if len(chosen) == 1 and report.measured > 1:
            low, high = -chosen[0].deletion.high, -chosen[0].deletion.low
    else:
        value = sum(getattr(one, rule.measure) for one in chosen)
    return Verdict(rule, report.cls, concepts, float(value), low, high, value <= rule.most)
