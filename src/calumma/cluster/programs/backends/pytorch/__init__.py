"""The pytorch backend: Triton loads ``model.py``, in a process of its own."""
