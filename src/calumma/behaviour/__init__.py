"""What a model should do with images that we make: behavioural tests of three kinds. No I/O.

Held-out images say how often a model is right about images like them. A behavioural test asks for
something particular: that a *simple* image is understood (minimum functionality), that a change
which means nothing changes nothing (invariance), that one which means something pushes the answer
the way it must (directional). The images are made here, as files, and go through the served model
as any user's would. Source: M. T. Ribeiro et al., ACL 2020 (CheckList).

- :mod:`~calumma.behaviour.perturbations`: one image and a severity in, another image out.
- :mod:`~calumma.behaviour.templates`: images composed of parts, every combination of them.
- :mod:`~calumma.behaviour.checks`: the tests: which images they need, and what the answers mean.
- :mod:`~calumma.behaviour.figures`: severity curves, and a gallery of what failed.

Next room: :mod:`calumma.scoring`, whose gates judge the rates.
"""
