"""A federating directory that answers LDAP, with the national schema of ENTs (ent-ldap.md)."""

from ent_sync.sources.ldap.source import LdapSource

__all__ = ["LdapSource"]
