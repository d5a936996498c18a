"""An LDAP directory of the national ENT schema as a target."""

from ent_sync.targets.ldap.target import LdapTarget

__all__ = ["LdapTarget"]
