"""Running a notebook with papermill, so that what it leaves can be trusted.

On top of papermill: parameters that the notebook does not declare, or of another type, are refused
before anything runs (papermill only warns), and so are secrets. The executed notebook is kept
however the run ended, and is on disk after every cell, so that not even ``kill -9`` loses more than
the cell that ran. A cell that hangs, a kernel that dies, does not start or does not answer, and a
person who has had enough all end the run in order: with a note at the notebook's top, the same as
an HTML page that asks the network for nothing, and no process left. The verdict is read from the
``report.json`` of this run, never from an earlier one's.

- :mod:`~calumma.running.declaration`: what a notebook declares, and which values it takes.
- :mod:`~calumma.running.engine`: papermill's engine, with a watch beside it.
- :mod:`~calumma.running.execution`: one run, from parameters to verdict.
- :mod:`~calumma.running.page`: the note at the top, and the HTML page.

Next room: :mod:`calumma.evaluation`, which runs the notebooks of a suite.
"""

from calumma.running.declaration import Parameter, check, parameters, parse
from calumma.running.engine import Progress, Stop
from calumma.running.execution import CODES, ERROR, Run, execute
from calumma.running.page import write as write_page

__all__ = [
    "CODES",
    "ERROR",
    "Parameter",
    "Progress",
    "Run",
    "Stop",
    "check",
    "execute",
    "parameters",
    "parse",
    "write_page",
]
