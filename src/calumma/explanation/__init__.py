"""Why did the served model say that? Which regions of an image its answer rests on.

A region is hidden, and the service is asked again: if the odds of a class fall, the region spoke
for it (occlusion sensitivity; M. Zeiler and R. Fergus, Visualizing and Understanding Convolutional
Networks, 2014). That needs nothing but answers, so it explains what is *served*: gateway,
transformer, quantised model and all. Methods that follow gradients (Grad-CAM and its kin) need the
insides of a network, which Triton does not show; they would explain a copy that may answer
otherwise than the service, and are left out for that reason.

A map may be pretty and wrong. So each is tested on the model itself: hiding the regions that it
calls important must change the answer sooner than hiding random ones (deletion and insertion; V.
Petsiuk, A. Das and K. Saenko, RISE, 2018). The difference is reported as a number.

- :mod:`~calumma.explanation.masks`: what is hidden, how, and the map that follows.
- :mod:`~calumma.explanation.faithfulness`: in which order to hide, and how fast the answer changes.
- :mod:`~calumma.explanation.panel`: asks one revision of a service, within a number of requests.
- :mod:`~calumma.explanation.study`: the explanation of one answer, and of the worst errors.
- :mod:`~calumma.explanation.figures`: an image, its maps and its curves.

Next room: ``evaluation/offline.ipynb``, which explains the errors that it found.
"""

from calumma.explanation.study import Explanations, explain

__all__ = ["Explanations", "explain"]
