"""A population of sub-networks evaluated together: trie, prefix cache, racing, one budget of memory."""
