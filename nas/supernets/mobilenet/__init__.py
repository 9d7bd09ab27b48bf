"""The MobileNet supernet."""
