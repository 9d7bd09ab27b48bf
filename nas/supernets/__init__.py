"""Shared weights of a whole space: elastic networks, calibration, extraction, training rules."""

from nas.networks import network
from nas.supernets.calibration import calibrate, calibration_batch, equal_parts
from nas.supernets.mobilenet.supernet import MobileNetSupernet
from nas.supernets.rules import RULES
from nas.supernets.statistics import Statistics, pool
from nas.supernets.steps import Regularisation, Step
from nas.supernets.storage import StoredSupernet, build, check_shared, load, rebuild, save
from nas.supernets.supernet import Supernet
from nas.supernets.training import train, train_alone

__all__ = [
    "RULES",
    "MobileNetSupernet",
    "Regularisation",
    "Statistics",
    "Step",
    "StoredSupernet",
    "Supernet",
    "build",
    "calibrate",
    "calibration_batch",
    "check_shared",
    "equal_parts",
    "load",
    "network",
    "pool",
    "rebuild",
    "save",
    "train",
    "train_alone",
]
