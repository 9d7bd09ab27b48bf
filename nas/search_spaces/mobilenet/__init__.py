"""The spaces of Once-for-All and BigNAS."""
