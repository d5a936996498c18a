"""How many may be under way: what makes it grow, what makes it shrink."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ent_sync.wire.ldap.window import Window


def grown(most=64, seconds=0.01):
    window = Window(most)
    for _ in range(500):
        window.answered(seconds, window.size)
    return window


def test_it_grows_to_the_most_and_no_further():
    assert grown(64).size == 64


def test_it_begins_small():
    assert Window(64).size == 8


def test_it_never_begins_with_more_than_the_most():
    assert Window(1).size == 1


def test_it_halves_when_the_server_is_strained():
    window = grown()

    window.answered(0.01, 64, strained=True)

    assert window.size == 32


def test_what_was_under_way_when_it_halved_does_not_halve_it_again():
    window = grown()

    for _ in range(64):
        window.answered(0.01, 64, strained=True)

    assert window.size == 32


def test_a_server_that_stays_strained_gets_one_at_a_time():
    window = grown()

    for _ in range(200):
        window.answered(0.01, window.size, strained=True)

    assert window.size == 1


def test_after_a_strain_it_grows_by_one_for_each_window():
    window = grown()
    window.answered(0.01, 64, strained=True)

    for _ in range(33):
        window.answered(0.01, window.size)

    assert window.size == 33


def test_it_halves_when_answers_take_much_longer_and_are_much_fewer():
    window = grown(seconds=0.1)

    for _ in range(40):
        window.answered(0.4, 64)

    assert window.size == 32


def test_a_longer_wait_behind_more_others_is_no_strain():
    """A server that does one at a time takes 64 times as long for each of 64, and is as fast as before."""
    window = Window(64)

    for _ in range(500):
        window.answered(0.02 * window.size, window.size)

    assert window.size == 64


def test_fewer_answers_with_fewer_under_way_are_no_strain():
    """A server that is far away answers each after the same time, however many there are."""
    window = grown(seconds=0.5)
    for _ in range(64 + 32 + 16):
        window.answered(0.5, window.size, strained=True)
    small = window.size

    for _ in range(60):
        window.answered(0.5, window.size)

    assert small <= 8
    assert window.size > small


def test_a_prompt_server_is_not_slow_whatever_it_was_at_its_best():
    window = grown(seconds=0.0001)

    for _ in range(200):
        window.answered(0.05, 64)

    assert window.size == 64


def test_what_was_best_is_forgotten_in_time():
    window = grown(seconds=0.1)

    for _ in range(20_000):
        window.answered(0.4, window.size)

    assert window.size == 64


@pytest.mark.parametrize("most", [1, 2, 64])
@given(answers=st.lists(st.tuples(st.floats(0, 10), st.integers(0, 100), st.booleans()), max_size=200))
def test_it_stays_between_one_and_the_most(most, answers):
    window = Window(most)

    for seconds, under_way, strained in answers:
        window.answered(seconds, under_way, strained=strained)

        assert 1 <= window.size <= most
