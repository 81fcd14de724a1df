"""The cluster's own programs, as the supervisor is asked for them."""

from __future__ import annotations

import sys

from calumma.cluster import layout
from calumma.cluster.node.record import Wanted
from calumma.cluster.programs import container
from calumma.cluster.programs import program as programs


def module(home: layout.Home, name: str, *options: str) -> programs.Program:
    """A process of Calumma's, by the name of its module."""
    argv = (sys.executable, "-m", f"calumma.{name}", "--home", str(home.path), *options)
    return programs.Program(argv, {}, home.path)


def wanted(
    home: layout.Home, name: str, program: programs.Program, *, grace: float = 10.0
) -> Wanted:
    """A program to keep running; ``grace`` is the time in seconds that it has to end."""
    return Wanted(
        name=name,
        argv=program.argv,
        environment={**container.inherited(), **program.environment},
        directory=str(program.directory),
        log=str(home.log(name)),
        grace=grace,
    )
