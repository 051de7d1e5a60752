"""Stand-in bookmakers that speak the wire formats, for running, testing and measuring without a network.

Nothing here imports the clients or the catalogue, so the sandbox is independent evidence for both.
"""

from quart_odds.sandbox.app import create_sandbox
from quart_odds.sandbox.command import sandbox_command
from quart_odds.sandbox.faults.faults import Fault, FaultKind, Where, parse_fault, parse_faults
from quart_odds.sandbox.options import PACE, SandboxOptions
from quart_odds.sandbox.process import SandboxProcess, sandbox_process, start_sandbox_process
from quart_odds.sandbox.world.stand_ins import STAND_INS

__all__ = [
    "PACE",
    "STAND_INS",
    "Fault",
    "FaultKind",
    "SandboxOptions",
    "SandboxProcess",
    "Where",
    "create_sandbox",
    "parse_fault",
    "parse_faults",
    "sandbox_command",
    "sandbox_process",
    "start_sandbox_process",
]
