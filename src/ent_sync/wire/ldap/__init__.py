"""The LDAP wire, for the source and the target: ldap3 opens and binds, our own codec reads and writes.

Knows DNs, attributes, filters and controls; nothing of people, keys or mappings.
"""
