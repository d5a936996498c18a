import pytest

from sync.installed import Installation


@pytest.fixture
def here(tmp_path):
    """An installation with one source, `lille-2d`."""
    return Installation(tmp_path / "here")


@pytest.fixture
def region(tmp_path):
    """An installation with the sources `lille-2d`, `lille-1d` and `amiens-2d`, in this order of precedence."""
    return Installation(tmp_path / "region", "lille-2d", "lille-1d", "amiens-2d")
