"""Imported by the server that runs are forked from, and by nothing else: its processes ignore Ctrl-C.

A terminal sends it to every process of the group. A run ends with the study that it is of; one that ended by
itself, a moment before, would be noted as killed.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
