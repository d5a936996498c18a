"""The law of the deltas: what a complete delivery and a delta lead to is what the complete of the second day says."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aaf_reading import KINDS, read
from hypothesis import given, settings
from hypothesis import strategies as st

from ent_sync.core.errors import UsageError
from ent_sync.core.record import Degree
from ent_sync.synth.delivery import SynthRequest, write_delivery
from ent_sync.wire.aaf.write import RequestKind

FIRST, SECOND = date(2026, 11, 2), date(2026, 11, 3)
SHARES = st.sampled_from([0.0, 0.5, 3.0, 30.0, 100.0])
PEOPLE = ("Eleve", "PersRelEleve", "PersEducNat")


def region(directory: Path, day: date, **options) -> SynthRequest:
    return SynthRequest(**{"directory": directory, "date": day, "pupils": 400, "seed": 5} | options)


def delta_of(directory: Path, **options):
    base = write_delivery(region(directory, FIRST, **{k: v for k, v in options.items() if k in ("degree", "pupils")}))
    return base, write_delivery(region(directory, SECOND, delta_of=directory, **options))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    pupils=st.integers(1, 150),
    degree=st.sampled_from(Degree),
    arrivals=SHARES,
    leavers=SHARES,
    changes=SHARES,
)
def test_complete_and_delta_lead_to_what_the_second_complete_says(*, seed, pupils, degree, arrivals, leavers, changes):
    plan = {"seed": seed, "pupils": pupils, "degree": degree}
    shares = {"arrivals": arrivals, "leavers": leavers, "changes": changes}
    with TemporaryDirectory() as place:
        directory = Path(place)
        base = write_delivery(region(directory, FIRST, **plan))
        delta = write_delivery(region(directory, SECOND, delta_of=base.path, **plan, **shares))
        complete = write_delivery(region(directory, SECOND, **plan, **shares))

        reached = read(delta.path, read(base.path))
        described = read(complete.path)

    assert reached.state == described.state


def test_a_partial_delta_leads_to_the_same_people(tmp_path):
    shares = {"arrivals": 2.0, "leavers": 2.0, "changes": 20.0}
    base, delta = delta_of(tmp_path, **shares, faults=("partial-modify",))
    complete = write_delivery(region(tmp_path, SECOND, **shares))

    reached = read(delta.path, read(base.path))

    assert reached.state == read(complete.path).state


@pytest.mark.parametrize("degree", list(Degree))
def test_a_delta_names_nobody_who_did_not_change(tmp_path, degree):
    base, delta = delta_of(tmp_path, degree=degree, arrivals=1.0, leavers=1.0, changes=5.0)
    before = read(base.path)
    after = read(delta.path, before)

    same = [
        key
        for kind, request, key in after.requests
        if kind in PEOPLE and request == "modifyRequest" and before.state[kind][key] == after.state[kind][key]
    ]

    assert same == []


def test_structures_programmes_and_subjects_are_sent_again_in_full(tmp_path):
    base, delta = delta_of(tmp_path)

    names = {path.name.split("_")[4]: path.read_bytes() for path in delta.files}
    again = {path.name.split("_")[4]: path.read_bytes() for path in base.files}

    requests = {kind: {body.count(b"<addRequest>") for body in (names[kind], again[kind])} for kind in KINDS[:3]}
    assert all(len(counts) == 1 and counts.pop() > 0 for counts in requests.values())


def test_shares_are_percent_of_the_pupils(tmp_path):
    base, delta = delta_of(tmp_path, arrivals=5.0, leavers=10.0, changes=0.0)
    before, after = read(base.path), read(delta.path, read(base.path))

    arrived = after.state["Eleve"].keys() - before.state["Eleve"].keys()
    left = before.state["Eleve"].keys() - after.state["Eleve"].keys()

    assert (len(arrived), len(left)) == (20, 40)


def test_a_delta_without_shares_has_the_usual_ones(tmp_path):
    base, delta = delta_of(tmp_path)
    before, after = read(base.path), read(delta.path, read(base.path))

    arrived = after.state["Eleve"].keys() - before.state["Eleve"].keys()
    left = before.state["Eleve"].keys() - after.state["Eleve"].keys()

    assert (len(arrived), len(left)) == (2, 2)
    assert delta.requests[RequestKind.MODIFY] >= 3


def test_guardians_left_without_a_pupil_are_deleted_and_the_others_are_changed(tmp_path):
    base, delta = delta_of(tmp_path, arrivals=0.0, leavers=10.0, changes=0.0)
    requests = read(delta.path, read(base.path)).requests

    asked = {request for kind, request, _ in requests if kind == "PersRelEleve"}

    assert asked == {"deleteRequest", "modifyRequest"}


def test_the_reverse_links_hold_after_a_delta(tmp_path):
    base, delta = delta_of(tmp_path, arrivals=10.0, leavers=10.0, changes=10.0)
    state = read(delta.path, read(base.path)).state

    forward = {
        (link.split("$")[0], key)
        for key, pupil in state["Eleve"].items()
        for link in pupil.get("ENTElevePersRelEleve", ())
        if link.split("$")[0] != key
    }
    backward = {
        (key, pupil) for key, adult in state["PersRelEleve"].items() for pupil in adult["ENTAuxPersRelEleveEleve"]
    }

    assert forward == backward


def test_changes_are_moves_corrections_contacts_and_teachers(tmp_path):
    base, delta = delta_of(tmp_path, arrivals=0.0, leavers=0.0, changes=20.0)
    before, after = read(base.path), read(delta.path, read(base.path))

    changed = {
        (kind, name)
        for kind in PEOPLE
        for key, record in after.state[kind].items()
        for name in record.keys() | before.state[kind][key].keys()
        if record.get(name) != before.state[kind][key].get(name)
    }

    assert changed >= {
        ("Eleve", "givenName"),
        ("Eleve", "ENTEleveClasses"),
        ("Eleve", "ENTPersonStructRattach"),
        ("Eleve", "ENTPersonAdresse"),
        ("PersRelEleve", "mobile"),
        ("PersRelEleve", "mail"),
        ("PersEducNat", "ENTAuxEnsClasses"),
    }


def test_a_modify_request_repeats_all_attributes(tmp_path):
    base, delta = delta_of(tmp_path, changes=10.0)
    pupils = next(path for path in delta.files if "_Eleve_" in path.name).read_text("ascii")
    first_add = next(path for path in base.files if "_Eleve_" in path.name).read_text("ascii").split("</addRequest>")[0]

    modify = pupils.split("<modifyRequest>")[1].split("</modifyRequest>")[0]

    assert modify.count("<modification ") == first_add.count("<attr name=") - 1  # but for the category's


def test_the_shares_of_a_complete_delivery_change_its_people(tmp_path):
    base = read(write_delivery(region(tmp_path, FIRST)).path)
    later = read(write_delivery(region(tmp_path, SECOND, leavers=50.0)).path)

    left = base.state["Eleve"].keys() - later.state["Eleve"].keys()

    assert len(left) == 200


@pytest.mark.parametrize("other", [{"seed": 6}, {"pupils": 401}, {"changes": 3.0}])
def test_a_delta_upon_other_people_is_refused(tmp_path, other):
    write_delivery(region(tmp_path, FIRST, **other))

    with pytest.raises(UsageError):
        write_delivery(region(tmp_path, SECOND, delta_of=tmp_path))


def test_a_delta_is_later_than_its_base(tmp_path):
    write_delivery(region(tmp_path, SECOND))

    with pytest.raises(UsageError):
        write_delivery(region(tmp_path, SECOND, delta_of=tmp_path))
