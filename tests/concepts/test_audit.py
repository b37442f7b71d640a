"""Rules of what a class must not rest on: verdicts against the numbers of a run, and files that are no rules."""

import json

import pytest

from lit_coiba.concepts import ConceptRun
from lit_coiba.concepts.audit import Rule, audit, read_rules, table
from lit_coiba.core.errors import InputError
from lit_coiba.files.digests import KEY, sealed
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import World


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ConceptRun(write_concepts(tmp_path_factory.mktemp("audit") / "run", World(), empty=(2,)))


def judged(run, names=None, **rule):
    return audit(run, [Rule(**rule)], names or {})[0]


@pytest.mark.parametrize(("measure", "sign"), [("share", 1), ("importance", 1), ("deletion", -1)])
def test_a_rule_is_broken_above_what_it_allows(run, measure, sign):
    one = run.report(0).concepts[1]
    value = sign * (one.deletion.mean if measure == "deletion" else getattr(one, measure))
    for most, kept in ((value + 1e-6, True), (value - 1e-6, False)):
        found = judged(run, cls=0, concept=1, measure=measure, most=most)
        assert found.value == pytest.approx(value)
        assert found.kept is kept
        assert (found.low is None) == (measure != "deletion")


def test_classes_and_concepts_go_by_names_too(run):
    name = run.class_names[1]
    assert run.class_names.count(name) == 1
    found = judged(run, {1: {0: "stripes", 2: "sky"}}, cls=name, concept="sky")
    assert (found.cls, found.concepts) == (1, (2,))


def test_what_looks_like_a_concept_of_another_class_is_meant(run):
    own = run.concepts(0).dictionary
    cosines = (own @ run.concepts(1).dictionary[0]) / (own.norm(dim=1) * run.concepts(1).dictionary[0].norm())
    for threshold in (-1.0, float(cosines.median()), 1.0):
        found = judged(run, cls=0, concept=0, of=1, cosine=threshold, most=0.0)
        near = tuple((cosines >= threshold).nonzero().flatten().tolist())
        assert found.concepts == near
        assert found.value == pytest.approx(sum(run.report(0).concepts[k].share for k in near))
    assert judged(run, cls=2, concept=0, of=1).concepts == ()  # a class without concepts rests on none


def test_the_table_has_broken_rules_first(run):
    verdicts = audit(run, [Rule(cls=0, concept=0, most=9.0), Rule(cls=1, concept=0, most=-9.0)], {})
    lines = table(verdicts, run).splitlines()
    assert lines[2].startswith("| **broken** | 1 ")
    assert lines[3].startswith("| kept | 0 ")
    assert lines[-1] == "1 of 2 rules broken"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"cls": "unicorn", "concept": 0}, "class unicorn in rule 1 is no class of the run"),
        ({"cls": 99, "concept": 0}, "class 99 in rule 1 is no class of the run"),
        ({"cls": 0, "concept": 77}, r"concept 77 in rule 1 is none of class 0: give a number \(0 to"),
        ({"cls": 0, "concept": "grass"}, "concept grass in rule 1 is none of class 0"),
        ({"cls": 2, "concept": 0}, r"concept 0 in rule 1 is none of class 2: give a number \(it has none\)"),
        ({"cls": 0, "concept": 0, "of": "unicorn"}, "class unicorn in rule 1 is no class"),
    ],
)
def test_unknown_names_are_refused(run, rule, message):
    with pytest.raises(InputError, match=message):
        audit(run, [Rule(**rule)], {})


def test_the_class_that_was_meant_is_named(tmp_path):
    run = ConceptRun(write_concepts(tmp_path / "run", World(3, 3, names=("leopard", "grand piano", "tench"))))
    with pytest.raises(InputError, match=r"did you mean leopard\? Else .* \(0 leopard, 1 grand piano, 2 tench\)$"):
        audit(run, [Rule(cls="Leopards", concept=0)], {})


def test_a_single_image_has_no_interval(tmp_path):
    single = ConceptRun(write_concepts(tmp_path / "run", World()))
    file = single.path / "classes/00000/class.json"
    told = {key: value for key, value in json.loads(file.read_text()).items() if key != KEY}
    file.write_text(json.dumps(sealed({**told, "measured": 1})))
    assert judged(single, cls=0, concept=1, measure="deletion").low is None


def test_rules_are_read_from_yaml_and_json(tmp_path):
    (tmp_path / "rules.yaml").write_text(
        "- {class: horse, concept: 3}\n- class: 7\n  concept: grass\n  measure: deletion\n"
    )
    assert read_rules(tmp_path / "rules.yaml") == [
        Rule(cls="horse", concept=3),
        Rule(cls=7, concept="grass", measure="deletion"),
    ]
    (tmp_path / "rules.json").write_text('[{"class": 1, "concept": 2, "most": 0.5}]')
    assert read_rules(tmp_path / "rules.json") == [Rule(cls=1, concept=2, most=0.5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no list of rules"),
        ("[]", "has no rule"),
        ("a: 1", "is no list of rules"),
        ("- {class: 1}", "missing required field `concept`"),
        ("- {class: 1, concept: 2, allowed: 3}", "unknown field `allowed`"),
        ("- {class: 1, concept: 2, measure: guess}", "Invalid enum value 'guess'"),
        ("- {class: 1, concept: 2, most: much}", "Expected `float`"),
        ("- [", "is no list of rules"),
        ("- &a [*a]", "rules"),
    ],
)
def test_what_is_no_list_of_rules_is_one_sentence(tmp_path, text, message):
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        read_rules(tmp_path / "rules.yaml")
    assert "\n" not in str(raised.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"rules\.yaml cannot be read: no such file"):
        read_rules(tmp_path / "rules.yaml")
