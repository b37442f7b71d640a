"""What CoIBA and IBA owe as attribution methods; what they compute is tested in tests/bottlenecks."""

from lit_coiba import attribution
from lit_coiba.attribution import IBA, CoIBA
from lit_coiba.core.method import AttributionMethod
from tests._testers.methods import CopiesTester, StateTester


class TestCoIBA(CopiesTester, StateTester):
    method = CoIBA
    arguments = {"steps": 3, "copies": 2, "beta": 0.1}  # noqa: RUF012


class TestCoIBAWithTheInformationOfAllTargets(CopiesTester):
    method = CoIBA
    arguments = {"steps": 3, "copies": 2, "beta": 0.1, "information": "mean", "antithetic": True}  # noqa: RUF012


class TestIBA(CopiesTester):
    method = IBA
    arguments = {"steps": 3, "copies": 2, "beta": 0.05}  # noqa: RUF012


def test_every_method_is_offered_under_one_name():
    for name in attribution.__all__:
        assert issubclass(getattr(attribution, name), AttributionMethod)
