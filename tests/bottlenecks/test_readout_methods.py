"""What readouts owe as attribution methods, and what they are of."""

import pytest

from lit_coiba.attribution import LearnedRanking, ReadoutCoIBA, ReadoutIBA
from tests._testers import readouts
from tests._testers.methods import CopiesTester, MethodTester, StateTester


class ReadoutTester(MethodTester):
    """A readout is made for each model, in a folder of the test."""

    kind = "coiba"

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.place = tmp_path

    def build(self, model, **arguments):
        file = readouts.saved(model, self.place, self.kind)
        return self.method(**{**self.arguments, "readout": file, **arguments})


class TestReadoutCoIBA(ReadoutTester, CopiesTester, StateTester):
    method = ReadoutCoIBA
    arguments = {"readout": "readout.safetensors"}  # noqa: RUF012
    evaluations = (1, 1)


class TestReadoutCoIBAThatIsRefined(ReadoutTester, CopiesTester):
    method = ReadoutCoIBA
    arguments = {"readout": "readout.safetensors", "refine": 2, "copies": 2, "verify": True}  # noqa: RUF012


class TestReadoutIBA(ReadoutTester):
    method = ReadoutIBA
    kind = "iba"
    arguments = {"readout": "readout.safetensors"}  # noqa: RUF012
    class_dependent = False
    evaluations = (1, 0)


class TestLearnedRanking(ReadoutTester):
    method = LearnedRanking
    kind = "ranking"
    arguments = {"readout": "readout.safetensors"}  # noqa: RUF012
    evaluations = (1, 1)
