"""One file per operator: the plain-torch reference and what chooses; a Triton kernel in a file beside it."""
