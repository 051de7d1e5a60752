"""Servers that users would otherwise write or install, doing the same work: the peers that ours is compared with."""
