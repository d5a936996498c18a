"""Invented entries for hypothesis: every shape that an entry can have, no person that exists."""

from hypothesis import strategies as st

from ent_sync.core.entry import Account, Affiliation, EntryId, Group, Guardianship, Membership, Structure
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind, Role

words = st.text(alphabet="abé$ -1", max_size=6)
ids = st.text(alphabet="abc123", min_size=1, max_size=4).map(EntryId)
keys = st.integers(1, 999).map(lambda number: Key(f"LILLE${number}"))
attributes = st.dictionaries(
    st.sampled_from(["family_name", "given_name", "mail", "mobile"]), st.lists(words, max_size=2).map(tuple), max_size=3
)


def several(values):
    """A relation: sorted, each once, as release makes them."""
    return st.frozensets(values, max_size=3).map(lambda found: tuple(sorted(found, key=repr)))


accounts = st.builds(
    Account,
    id=ids,
    population=st.sampled_from([Population.PUPIL, Population.GUARDIAN, Population.STAFF]),
    source_key=keys,
    profile=st.none() | words,
    attributes=attributes,
    affiliations=several(st.builds(Affiliation, words, st.none() | words)),
    memberships=several(st.builds(Membership, ids, st.sampled_from(Role), st.none() | words)),
    guardianships=several(st.builds(Guardianship, ids, st.booleans())),
)
structures = st.builds(Structure, id=ids, source_key=keys, name=words, attributes=attributes)
groups = st.builds(Group, id=ids, uai=words, group_kind=st.sampled_from(GroupKind), code=words, name=words)
entries = accounts | structures | groups
