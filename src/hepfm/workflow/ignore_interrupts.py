"""Preloaded by the server that runs are forked from: its processes ignore Ctrl-C.

A terminal sends it to every process of the group. A run ends with the study that it is of; one that ended by
itself, a moment before, would be noted as killed. Everywhere else the import changes nothing: a process that
ignores interrupts hands that on to every process that it starts.
"""

import os
import signal

IN_SERVER = "HEPFM_IN_SERVER"
"""Set in the environment of the server and of the runs, and nowhere else."""

if IN_SERVER in os.environ:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
