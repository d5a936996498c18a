"""What is sealed opens for its own row, with its own key, and for nobody else (gdpr.md R27)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ent_sync.core.errors import StoreError
from ent_sync.store.seal import Seal

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
NAME = "Léa DURAND"

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(value=plain, context=st.text())
@settings(max_examples=50)
def test_what_is_sealed_opens_as_it_was(value: object, context: str) -> None:
    sealed = Seal(KEY).close(value, context)

    assert Seal(KEY).open(sealed, context) == value


def test_a_sealed_value_shows_nothing_of_what_it_holds() -> None:
    sealed = Seal(KEY).close({"sn": [NAME]}, "record|1")

    assert b"DURAND" not in sealed
    assert b"sn" not in sealed


def test_the_same_value_is_sealed_differently_each_time() -> None:
    seal = Seal(KEY)

    assert seal.close(NAME, "record|1") != seal.close(NAME, "record|1")


@pytest.mark.parametrize(
    ("key", "context", "change"),
    [
        pytest.param(KEY, "record|2", lambda sealed: sealed, id="another row"),
        pytest.param(OTHER_KEY, "record|1", lambda sealed: sealed, id="another key"),
        pytest.param(KEY, "record|1", lambda sealed: sealed[:-1], id="truncated"),
        pytest.param(KEY, "record|1", lambda sealed: sealed[:5], id="truncated in the nonce"),
        pytest.param(KEY, "record|1", lambda sealed: sealed[:13], id="truncated after the nonce"),
        pytest.param(KEY, "record|1", lambda sealed: b"", id="empty"),
        pytest.param(KEY, "record|1", lambda sealed: b"\x02" + sealed[1:], id="of another key of the ring"),
        pytest.param(KEY, "record|1", lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]), id="tampered with"),
    ],
)
def test_what_does_not_open_is_refused_without_a_value(key: bytes, context: str, change: object) -> None:
    assert callable(change)
    sealed = change(Seal(KEY).close(NAME, "record|1"))

    with pytest.raises(StoreError) as refused:
        Seal(key).open(sealed, context)

    assert NAME not in str(refused.value)
    assert (refused.value.__cause__, refused.value.__suppress_context__ or refused.value.__context__) in {
        (None, True),
        (None, None),
    }


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=50)
def test_no_bit_can_be_changed_unnoticed(at: int, bit: int) -> None:
    sealed = bytearray(Seal(KEY).close(NAME, "record|1"))
    sealed[at % len(sealed)] ^= 1 << bit

    with pytest.raises(StoreError):
        Seal(KEY).open(bytes(sealed), "record|1")
