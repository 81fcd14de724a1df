"""Models that draw boxes: how they are asked, what their answers mean, and how good they are.

The numbers that a box model is judged by are easily wrong without a sign of it: boxes in another
unit, an average precision that is no average, an empty folder whose score is zero or not a number.
Here a box has one form (corners in pixels of its image, :class:`~calumma.detection.boxes.Boxes`);
everything else is converted at the border and refused where it does not fit. Matching and average
precision are those of ``pycocotools``, the reference implementation of COCO's evaluation. What is
not there (a class without labelled boxes, a set without images) has no value, and never passes.

- :mod:`~calumma.detection.boxes`: boxes, their layouts and units.
- :mod:`~calumma.detection.pictures`: what is asked and what came back.
- :mod:`~calumma.detection.labels`: labelled images from YOLO folders and COCO files.
- :mod:`~calumma.detection.letterbox`: an image as the model takes it, and boxes back.
- :mod:`~calumma.detection.decoding`: from a model's output tensors to detections.
- :mod:`~calumma.detection.asking`: asks a served model over the V2 protocol.
- :mod:`~calumma.detection.matching`: which detection found which box, by pycocotools.
- :mod:`~calumma.detection.resampling`: average precision of resampled images.
- :mod:`~calumma.detection.metrics`: mAP, precision, recall, confusion, with intervals.
- :mod:`~calumma.detection.figures`: curves, and images with their boxes.

Next room: ``evaluation/detection.ipynb``, which puts them together.
"""
