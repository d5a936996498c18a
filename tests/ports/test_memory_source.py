import pytest

from ports.source_contract import GivingMemory, SourceContract


class TestMemorySource(SourceContract):
    @pytest.fixture
    def giving(self):
        return GivingMemory()
