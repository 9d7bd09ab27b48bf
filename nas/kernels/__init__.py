"""One file per operator: the plain-torch reference, and the Triton kernel where there is one."""
