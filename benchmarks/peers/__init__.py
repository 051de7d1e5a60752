"""What a user would otherwise write or take, doing the same work: what ours is measured beside."""
