"""What an installation's own configuration makes of metrics and health."""

import contextlib
import datetime as dt
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from ent_sync import compose
from ent_sync.config.fields import Every
from ent_sync.core.register import Signature
from ent_sync.web import monitor

NOW = dt.datetime(2026, 11, 25, 12, 0, tzinfo=dt.UTC)


class Here:
    """An installation with one source, read every working day, and the embedded target."""

    def __init__(self, folder):
        self.folder = folder
        self.config = compose.new_installation(folder, ["lille-2d"])

    @contextlib.contextmanager
    def watched(self):
        """Its three pages, asked by path."""
        with compose.opened(self.config) as parts:
            settings = compose.load(self.config)
            section = settings.metrics.model_copy(update={"listen": "127.0.0.1:0"})
            settings = settings.model_copy(update={"metrics": type(section).model_validate(section.model_dump())})
            with monitor.watched(
                settings,
                parts.policy.register,
                {name: each.source for name, each in parts.sources.items()},
                {
                    name: lambda: compose.target_of(settings, settings.targets[0], parts.policy)
                    for name in parts.targets
                },
                lambda: NOW,
            ) as address:
                yield lambda path: asked(f"http://{address}{path}")


def asked(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def here(tmp_path):
    return Here(tmp_path / "here")


def test_a_new_installation_is_ready(here):
    with here.watched() as ask:
        assert ask("/readyz") == (200, "ready\n")


def test_a_folder_that_is_gone_makes_it_not_ready(here):
    folder = here.folder / "deliveries" / "lille-2d"
    with here.watched() as ask:
        folder.rmdir()
        answer = ask("/readyz")

    assert answer == (503, f"source lille-2d: the folder {folder} does not exist or cannot be read\n")


def test_its_sources_and_targets_are_measured_from_the_start(here):
    with here.watched() as ask:
        _, text = ask("/metrics")

    lines = text.splitlines()
    assert 'ent_sync_last_success_timestamp_seconds{source="lille-2d"} 0.0' in lines
    assert 'ent_sync_accounts{population="pupil",status="active",target="ent"} 0.0' in lines


def test_the_schedule_of_the_configuration_is_its_interval(here):
    settings = compose.load(here.config)
    often = settings.sources[0].model_copy(update={"schedule": Every(every="6h")})
    settings = settings.model_copy(update={"sources": (often,)})

    found = monitor.configured(settings, compose.load_policy(settings).register, lambda: NOW)

    assert found.intervals() == {"lille-2d": 21600.0}
    assert found.schedules == ["lille-2d"]


def signed(grant, ends):
    signature = Signature(why_not_less="…", signed_by="…", signed_on=dt.date(2026, 9, 1), expires=ends)
    return replace(grant, signature=signature)


def test_the_signature_that_ends_first_is_told_by_the_day_after_its_last(here):
    settings = compose.load(here.config)
    register = compose.load_policy(settings).register
    plain, one, other = (replace(each, signature=None) for each in register.grants[:3])
    grants = (plain, signed(one, dt.date(2027, 8, 31)), signed(other, dt.date(2027, 6, 30)))

    found = monitor.configured(settings, replace(register, grants=grants), lambda: NOW)

    assert found.signature_expires == dt.date(2027, 7, 1)


def test_a_register_without_signatures_has_none_that_ends(here):
    settings = compose.load(here.config)
    register = replace(compose.load_policy(settings).register, grants=())

    assert monitor.configured(settings, register, lambda: NOW).signature_expires is None
