"""What proxies share: a module that is looked at on one batch, without a change to it."""
