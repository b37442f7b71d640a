import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data.shard import Shard


@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_together_they_are_all_blocks_and_none_is_in_two(total):
    blocks = [0, 3, 4, 5, 11, 12, 13, 20, 21]
    shares = [Shard.of(f"{i}/{total}").share(blocks) for i in range(total)]
    assert sorted(block for share in shares for block in share) == blocks
    assert all(share == sorted(share) for share in shares)


def test_a_block_stays_in_its_shard_whatever_is_missing():
    assert Shard.of((1, 3)).share([4, 7, 9]) == [4, 7]
    assert Shard.of("1/3").share([7]) == [7]


def test_how_it_is_written():
    assert Shard.of(None) == (0, 1)
    assert Shard.of(" 2 / 5 ") == Shard.of([2, 5]) == (2, 5)


@pytest.mark.parametrize("given", ["4/4", "-1/4", "1", "1/0", "a/b", "", (1, 1), (0, 0), (-1, 2), (1,), "1/2/3"])
def test_what_is_none(given):
    with pytest.raises(InputError, match=r"shard is .*, but must be i/n with i from 0 to n - 1, such as 0/4"):
        Shard.of(given)
