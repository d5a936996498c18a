"""Notices, letters and audiences for tests."""

import datetime as dt

from ent_sync.config.federation import FederationSection
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Update, What
from ent_sync.federation.channels.letter import Letter

MONDAY = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)  # 10:00 in Paris, a school day
SATURDAY = dt.datetime(2026, 11, 28, 20, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
TITLES = {"educonnect": "EduConnect", "ent": "l'ENT"}


def at(minute):
    return MONDAY + minute * MINUTE


def notice(**changed):
    values = {
        "id": "malfunction-20261123T090000-abcdef",
        "kind": Kind.MALFUNCTION,
        "state": State.DETECTED,
        "author": Author.PROBE,
        "title": "",
        "services": ("educonnect",),
        "cause": "tls_expired",
        "began": at(0),
        "detected": at(1),
    }
    return Notice(**{**values, **changed})


def maintenance(**changed):
    values = {
        "id": "maintenance-20261128T200000-abcdef",
        "kind": Kind.MAINTENANCE,
        "state": State.PLANNED,
        "author": Author.HAND,
        "title": "Mise à jour d'EduConnect",
        "cause": None,
        "began": None,
        "detected": None,
        "announced": at(0),
        "starts": SATURDAY,
        "ends": SATURDAY + 120 * MINUTE,
    }
    return notice(**{**values, **changed})


def update(what=What.OPENED, sequence=0, minute=1, text=""):
    return Update(sequence=sequence, at=at(minute), what=what, text=text)


def letter(about=None, said=None, **changed):
    values = {"notice": about or notice(), "update": said or update(), "partner": "Région", "titles": TITLES}
    return Letter(**{**values, **changed})


def federation(*partners, services=None, **changed):
    """A configuration with these partners; a partner is a mapping, and its name its role where it has none."""
    listed = [{"name": each["role"], **each} for each in partners]
    values = {
        "reference": "ent",
        "services": services
        or [
            {"name": "ent", "url": "https://ent.example/"},
            {"name": "educonnect", "title": "EduConnect", "url": "https://educonnect.example/"},
        ],
        "partners": listed,
    }
    return FederationSection.model_validate({**values, **changed})
