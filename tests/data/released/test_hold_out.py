from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.data.released.hold_out import held_out

SAMPLES = st.lists(
    st.tuples(st.text("abcé0123", min_size=1, max_size=6), st.integers(0, 4)), unique_by=lambda one: one[0]
)


def names(count, below=""):
    return [f"{below}{k}.jpg" for k in range(count)]


@given(SAMPLES, st.floats(0.001, 0.999))
def test_every_class_gives_its_share_and_none_gives_all(samples, share):
    labels = [label for _, label in samples]
    held = held_out([name for name, _ in samples], labels, share)
    assert held == sorted(set(held))
    given_up = Counter(labels[index] for index in held)
    for label, total in Counter(labels).items():
        assert given_up[label] < total
        if total > 1:
            assert given_up[label] in (1, total - 1) or abs(given_up[label] - share * total) <= 0.5


@given(SAMPLES, st.randoms())
def test_the_same_files_whatever_their_order(samples, random):
    shuffled = random.sample(samples, len(samples))
    chosen = [
        {order[index][0] for index in held_out([name for name, _ in order], [label for _, label in order], 0.3)}
        for order in (samples, shuffled)
    ]
    assert chosen[0] == chosen[1]


def test_these_files_on_every_machine():
    """Those of which `printf 19.jpg | sha256sum` is the smallest."""
    assert held_out(names(20), [0] * 20, 0.2) == [0, 5, 14, 19]
    assert held_out(names(20, "train/cat/"), [0] * 20, 0.2) == [0, 5, 14, 19]  # wherever they lie


def test_a_larger_share_holds_those_of_a_smaller_one():
    assert set(held_out(names(50), [0] * 50, 0.1)) < set(held_out(names(50), [0] * 50, 0.3))


@pytest.mark.parametrize(
    ("total", "share", "count"), [(30, 0.1, 3), (25, 0.1, 3), (24, 0.1, 2), (3, 0.01, 1), (1, 0.5, 0)]
)
def test_counts(total, share, count):
    assert len(held_out(names(total), [7] * total, share)) == count


def test_no_share_is_none():
    assert held_out(names(10), [0] * 10, 0.0) == []
