"""Checks R1, R3, R4, S2, F1 and O1 of the targets' spec, for the kind that there is."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch.nn.functional import cross_entropy

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Class, ResolvedClass, Target, parse_target, resolve, select_output

LOGITS = torch.tensor([[1.0, 3.0, 2.0], [0.5, -1.0, 0.0]])
NAMES = ("crane", "tench", "crane")


class TestTheValue:
    @pytest.mark.parametrize(
        "target", [Class(), Class(2), Class("top3"), Class("tench", "prob"), Class(0, output=("a", 1))]
    )
    def test_survives_a_trip_through_json(self, target):
        again = Target.from_json(target.to_json())
        assert again == target
        assert hash(again) == hash(target)

    def test_differs_by_what_it_asks_for(self):
        assert len({Class(), Class(score="prob"), Class("top2"), Class(1), Class("predicted")}) == 4

    def test_what_json_must_not_say(self):
        with pytest.raises(InputError, match="no field 'side': it has cls, score, output"):
            Target.from_json({"kind": "class", "side": 1})
        with pytest.raises(InputError, match="a target of kind 'klass' does not exist: choose class"):
            Target.from_json({"kind": "klass"})
        with pytest.raises(InputError, match="score is 'odds': choose logit, prob, logprob, rest"):
            Class(score="odds")

    @pytest.mark.parametrize(
        ("text", "target", "identity"),
        [
            ("predicted", Class(), "predicted"),
            ("label", Class("label"), "label"),
            ("17", Class(17), "17"),
            (3, Class(3), "3"),
            ("top3", Class("top3"), "top3"),
            ("top-3", Class("top3"), "top3"),
            ("class:tench", Class("tench"), {**Class("tench").to_json(), "version": 1}),
            ("bull mastiff", Class("bull mastiff"), {**Class("bull mastiff").to_json(), "version": 1}),
        ],
    )
    def test_short_text_and_what_a_store_remembers(self, text, target, identity):
        assert parse_target(text) == target
        assert parse_target(text).identity() == identity

    @pytest.mark.parametrize("text", ["", " ", "top0", "class:", "value:0", True, 1.5])
    def test_other_text_is_refused(self, text):
        with pytest.raises(InputError, match=r"^targets(:| is) "):
            parse_target(text)

    def test_a_kind_of_the_users_is_known_where_it_is_named(self):
        @dataclass(frozen=True)
        class Norm(Target):
            kind: ClassVar[str] = "norm"
            power: int = 2

            def resolve(self, out: Any, labels: Any = None, names: Any = ()) -> Any:
                raise NotImplementedError

        told = Norm(3).to_json()
        with pytest.raises(InputError, match=r"Norm, a class outside lit-coiba"):
            Target.from_json(told)
        assert Target.from_json(told, Norm) == Norm(3)


class TestResolved:
    def test_the_predicted_class_and_its_clean_score(self):
        found = Class().resolve(LOGITS)
        assert (found.index.tolist(), found.image.tolist(), found.clean.tolist()) == ([1, 0], [0, 1], [3.0, 0.5])
        assert found.against.tolist() == [-1, -1]

    def test_several_rows_an_image_in_the_order_of_rank(self):
        found = Class("top3").resolve(LOGITS)
        assert found.image.tolist() == [0, 0, 0, 1, 1, 1]
        assert found.index.tolist() == [1, 2, 0, 0, 2, 1]

    def test_names_and_numbers(self):
        assert Class("tench").resolve(LOGITS, names=NAMES).index.tolist() == [1, 1]
        assert Class(2).resolve(LOGITS, names=NAMES).name == ("crane", "crane")
        assert Class("runner_up").resolve(LOGITS).index.tolist() == [2, 2]
        with pytest.raises(InputError, match="classes 0, 2 are all called 'crane': give a number"):
            Class("crane").resolve(LOGITS, names=NAMES)
        with pytest.raises(InputError, match="class 'tinch' does not exist: the nearest names are tench"):
            Class("tinch").resolve(LOGITS, names=NAMES)
        with pytest.raises(InputError, match="class 3 is outside the model's range 0 to 2"):
            Class(3).resolve(LOGITS)
        with pytest.raises(InputError, match="asks for 4 classes, but the model has 3"):
            Class("top4").resolve(LOGITS)

    def test_images_without_a_row_say_why(self):
        logits = torch.cat([LOGITS, torch.tensor([[torch.nan, 0, 0], [0.0, 1.0, 0.0]])])
        found = Class("label").resolve(logits, labels=torch.tensor([2, -1, 0, 7]))
        assert found.image.tolist() == [0]
        assert found.reasons == {
            1: "it has no label",
            2: "the model's output is not finite: check the weights and the normalization",
            3: "class 7 is outside the model's range 0 to 2",
        }

    def test_rows_that_are_taken_score_as_they_did(self):
        found = Class("top2").resolve(LOGITS).scored_by("prob")
        rows = torch.tensor([0, 0, 3])
        out = LOGITS[found.image]
        assert torch.equal(found.take(rows).score(out[rows]), found.score(out)[rows])
        assert torch.equal(found.repeat(3).score(out.repeat(3, 1)), found.score(out).repeat(3))
        assert found.take(slice(1, 3)).index.tolist() == found.index.tolist()[1:3]

    def test_the_class_stays_when_the_model_changes_its_mind(self):
        assert Class().resolve(LOGITS).score(-LOGITS).tolist() == [-3.0, -0.5]

    @pytest.mark.parametrize(
        ("score", "expected"),
        [
            ("logit", LOGITS[:, 0]),
            ("prob", LOGITS.softmax(-1)[:, 0]),
            ("logprob", LOGITS.log_softmax(-1)[:, 0]),
            ("rest", LOGITS[:, 0] + LOGITS.log_softmax(-1)[:, 0]),
        ],
    )
    def test_scores(self, score, expected):
        assert torch.equal(Class(0, score).resolve(LOGITS).score(LOGITS), expected)
        assert torch.equal(Class(0).resolve(LOGITS).scored_by(score).score(LOGITS), expected)

    def test_a_score_of_its_own_and_another_one_that_is_asked_for(self):
        own = Class(0, "prob").resolve(LOGITS)
        assert own.scored_by("logit", asked=False).scored == "prob"
        with pytest.raises(InputError, match="the target's score is prob and output is logit"):
            own.scored_by("logit")

    def test_fidelity_is_the_cross_entropy(self):
        found = Class("top2").resolve(LOGITS)
        out = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(found.fidelity(out), cross_entropy(out, found.index, reduction="none"))

    def test_linear_rows_are_above_zero_where_another_class_wins(self):
        found = Class(1).resolve(LOGITS)
        rows, constants = found.linear()
        margins = (rows @ LOGITS.unsqueeze(-1)).squeeze(-1) + constants
        assert margins.tolist() == [[-2.0, -1.0], [1.5, 1.0]]


class Output(NamedTuple):
    logits: torch.Tensor


class TestOutput:
    @pytest.mark.parametrize(
        "out",
        [
            (LOGITS,),
            {"logits": LOGITS},
            Output(LOGITS),
            [[LOGITS]],
            {"a": {"b": LOGITS}, "sizes": torch.tensor([3, 3])},
        ],
    )
    def test_the_only_tensor_of_numbers_is_found(self, out):
        assert select_output(out) is LOGITS
        assert Class().resolve(out).index.tolist() == [1, 0]

    def test_of_two_one_has_to_be_named(self):
        out = {"main": LOGITS, "aux": {"head": LOGITS + 1}}
        with pytest.raises(InputError, match=r"'main' \(2, 3\) torch.float32, \('aux', 'head'\) \(2, 3\)"):
            Class().resolve(out)
        found = Class(0, output=("aux", "head")).resolve(out)
        assert found.score(out).tolist() == [2.0, 1.5]
        with pytest.raises(InputError, match="output 'logits' does not select a tensor"):
            select_output(out, "logits")

    def test_paths_lead_through_sequences_and_dataclasses(self):
        @dataclass
        class Returned:
            logits: torch.Tensor
            hidden: Any = None

        out = (Returned(LOGITS + 1), [LOGITS, Returned(LOGITS - 1, {"last": LOGITS})])
        assert select_output(Returned(LOGITS)) is LOGITS
        assert select_output(out, (1, 0)) is LOGITS
        assert select_output(out, (1, -1, "hidden", "last")) is LOGITS
        assert select_output(Output(LOGITS), "logits") is LOGITS
        for path in ((1, 7), ("logits",), (0, "sizes"), (1, 1, "hidden")):
            with pytest.raises(InputError, match="does not select a tensor of numbers: the model returns"):
                select_output(out, path)
        with pytest.raises(InputError, match="the model returns no tensor of numbers"):
            select_output({"sizes": torch.tensor([3, 3])})

    def test_a_class_needs_a_score_for_each_class(self):
        with pytest.raises(InputError, match=r"the model returns \(2, 3, 4\) for 2 images, and a class target needs"):
            Class().resolve(torch.zeros(2, 3, 4))


class TestResolve:
    def test_rows_for_other_images_are_refused(self):
        images = torch.zeros(2, 3, 4, 4)
        with pytest.raises(InputError, match="targets selects 4 rows for 2 images"):
            resolve(Class("top2"), images, 3, lambda: LOGITS)
        with pytest.raises(InputError, match=r"1 rows for 2 images \(image 1: it has no label\)|0 rows for 2 images"):
            resolve(Class("label"), images, 3, lambda: LOGITS)

    def test_what_was_resolved_is_taken_as_it_is(self):
        given = Class(2).resolve(LOGITS)
        found = resolve(given, torch.zeros(2, 3, 4, 4), 3, lambda: pytest.fail("the model need not run"))
        assert isinstance(found, ResolvedClass)
        assert found.index.tolist() == [2, 2]
