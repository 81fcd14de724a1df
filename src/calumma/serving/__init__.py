"""What runs inside a transformer: from the image of a request to the labels of its reply.

A program in ``transformers/`` describes its application in a few lines and calls
:func:`calumma.serving.server.serve`. The way of a request: :mod:`~calumma.serving.admission`
lets it in, :mod:`~calumma.serving.requests` finds its images, :mod:`~calumma.serving.images`
makes pixels of them, :mod:`~calumma.serving.predictor` asks Triton,
:mod:`~calumma.serving.predictions` makes labels of the logits;
:mod:`~calumma.serving.transformer` is the order of it, on kserve's model server.
PyTorch and scikit-learn are not imported here, so that a transformer is ready in under two
seconds.
"""
