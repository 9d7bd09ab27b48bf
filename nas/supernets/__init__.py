"""Shared weights of a whole space: elastic networks, calibration, extraction, training rules."""

from nas.networks.flexibert import FlexiBert
from nas.networks.nasbench201 import NasBench201
from nas.supernets.calibration import calibrate, calibration_batch, equal_parts
from nas.supernets.mobilenet.supernet import MobileNetSupernet
from nas.supernets.rules import RULES
from nas.supernets.standalone import network
from nas.supernets.statistics import Statistics, pool
from nas.supernets.steps import Regularisation, Step
from nas.supernets.storage import StoredSupernet, build, check_shared, load, save
from nas.supernets.supernet import Supernet
from nas.supernets.training import train, train_alone

__all__ = [
    "RULES",
    "FlexiBert",
    "MobileNetSupernet",
    "NasBench201",
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
    "save",
    "train",
    "train_alone",
]
