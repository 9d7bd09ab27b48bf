"""Train one supernet once, find the sub-network that fits each device, export a plain checkpoint."""
