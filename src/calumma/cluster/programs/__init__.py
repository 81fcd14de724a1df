"""Command lines and configuration files of the programs that a cluster consists of.

Each module renders one program, without input or output: :mod:`~calumma.cluster.programs.triton`
a predictor, :mod:`~calumma.cluster.programs.container` and
:mod:`~calumma.cluster.programs.images` any container, :mod:`~calumma.cluster.programs.envoy` the
gateway, :mod:`~calumma.cluster.programs.prometheus` the metrics. What they render is a
:class:`~calumma.cluster.programs.program.Program`; :mod:`calumma.cluster.node` starts it.
"""
