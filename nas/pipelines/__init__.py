"""The commands as Python calls: what `nas search`, `nas train` and the others do, without a command line.

Each module has one call. It takes names or objects, writes its results into a folder and returns a value. Nothing here
prints: how far a call is, it tells a callback.
"""
