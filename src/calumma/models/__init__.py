"""What is served: training, export to ONNX, and Triton model repositories.

:mod:`~calumma.models.digits` trains small networks on real handwritten digits,
:mod:`~calumma.models.food11` takes over a food classifier that exists;
:mod:`~calumma.models.onnx_export` and :mod:`~calumma.models.pixels` give them a graph that takes
the pixels of an image as they are, and :mod:`~calumma.models.repository` writes what Triton
loads. The images' way to such a model is :mod:`calumma.serving`.
"""
