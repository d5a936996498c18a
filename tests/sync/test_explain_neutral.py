"""What stands at a target only because its format demands it is told beside what is withheld."""

from dataclasses import replace

import pytest

from delivering import village
from ent_sync.cli.output import show_explanation
from ent_sync.sync.explain import explain


@pytest.fixture
def told(here):
    """What is told of a pupil for whom the target's format demands a value, and one for whom it demands none."""
    here.synced(1, village())

    def tell(**neutral):
        with here.opened() as opened:
            parts = replace(
                opened, neutral={name: lambda _entry, value=value: value for name, value in neutral.items()}
            )
            return explain(parts, "LILLE$100")

    return tell


def test_a_neutral_value_is_told_by_the_targets_own_attribute(told):
    [target] = told(ent={"ENTPersonAdresse": "-"})["targets"]

    assert target["neutral"] == {"ENTPersonAdresse": "-"}


def test_a_target_that_demands_nothing_has_no_neutral_values(told):
    assert told(ent={})["targets"][0]["neutral"] == told()["targets"][0]["neutral"] == {}


def test_a_neutral_value_is_drawn_with_why_it_stands_there(told, capsys):
    document = told(ent={"ENTPersonAdresse": "-"})

    show_explanation(document, as_json=False)

    assert (
        "ENTPersonAdresse stands as -: the target's format demands it, the register does not release it"
        in capsys.readouterr().out
    )
