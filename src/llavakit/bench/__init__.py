"""How fast this package is on this machine, beside others and beside what the machine can do.

`engine` is the run, `workers/` the processes that are measured, `rows` what the figures mean, `report` how
they are shown. Nothing but the command line imports this room.
"""
