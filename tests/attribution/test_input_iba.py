"""What InputIBA owes as an attribution method; what it computes is tested in tests/bottlenecks/test_input_iba.py."""

from lit_coiba.attribution import InputIBA
from tests._testers.methods import CopiesTester


class TestInputIBA(CopiesTester):
    method = InputIBA
    arguments = {  # noqa: RUF012
        "feature_steps": 3,
        "feature_copies": 2,
        "n_samples": 6,
        "group": 3,
        "epochs": 2,
        "batch": 4,
        "critic_steps": 2,
        "critic_width": 4,
        "steps": 3,
        "beta": 1.0,
        "copies": 2,
    }
    evaluations = (2 * 2 + 3 * 2, 2 * 2 + 3 * 2)
